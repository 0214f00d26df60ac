"""How runs stand in people's words: one that was held has not failed."""

from typing import Final

from django.http import HttpRequest
from django.utils.safestring import SafeString

from agents.choices import FORKED
from agents.models import AgentExecution
from agents.runtime.spec import HELD, FailureKind
from kernel import display
from kernel.admin_links import link

WORDS: Final = {
    FailureKind.APPROVAL_PENDING: "Held for approval",
    FailureKind.BUDGET_EXHAUSTED: "Held for budget",
    FailureKind.COST_UNPRICED: "Held for a price",
    FailureKind.BREAKER_OPEN: "Held by breaker",
    FailureKind.RATE_LIMIT: "Held by limit",
    FailureKind.AGENT_DISABLED: "Held: agent disabled",
}
# The pages of what `held_by` can name.
HOLDERS: Final = {
    FailureKind.APPROVAL_PENDING.value: ("approvals_approval", "the approval"),
    FailureKind.AGENT_DISABLED.value: ("agents_agentoverride", "the override"),
    FailureKind.BUDGET_EXHAUSTED.value: ("cost_budget", "the budget"),
    FailureKind.RATE_LIMIT.value: ("limits_limitrule", "the limit"),
}


def is_held(run: AgentExecution | None) -> bool:
    """Whether it stopped for something that may pass, and its task goes on then."""
    return run is not None and run.error_kind in HELD


def standing(run: AgentExecution) -> SafeString:
    """Its status as a coloured word."""
    if is_held(run):
        return display.status("held", WORDS[FailureKind(run.error_kind)])
    if run.error_kind == FORKED:
        return display.status("forked", "Steps of another")
    return display.status(run.status, run.get_status_display())


def holder(request: HttpRequest, run: AgentExecution) -> str:
    """A link to what it was held for, for who may follow that."""
    page, name = HOLDERS.get(run.error_kind, ("", ""))
    return str(link(request, page, run.held_by, f"Open {name}"))


def cause(run: AgentExecution) -> str:
    """The kind of its error as words; nothing where `standing` says it."""
    if is_held(run) or run.error_kind == FORKED:
        return display.NOTHING
    return run.error_kind.replace("_", " ") or display.NOTHING
