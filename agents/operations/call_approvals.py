"""Tool calls that people have to allow: asking them, and using what they said."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from agents.models import (
    AgentExecution,
    AgentOverride,
    AgentOverrideRevision,
    AgentVersion,
    ExecutionStep,
)
from agents.operations import executions
from agents.runtime import failures
from agents.runtime.journal import GRANTED, ToolCall, Verdict
from agents.selectors import call_key
from approvals import selectors
from approvals.choices import ApprovalStatus
from approvals.models import Approval
from approvals.operations import requests, uses
from kernel import ids
from kernel.actors import Actor

ACTION: Final = "execute_tool:{}"
REFUSALS: Final = {
    ApprovalStatus.REJECTED: "A person refused this call: {reason}",
    ApprovalStatus.EXPIRED: "Nobody approved this call in time, so it was not made.",
    ApprovalStatus.CANCELLED: "The request to approve this call was taken back.",
}
USED: Final = "The approval of this call was used before, and is good for one call."


@dataclass(frozen=True, slots=True)
class Asked:
    """What was said of a call, and the step that began if it was granted."""

    verdict: Verdict
    step: ExecutionStep | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A call of a run. `root_id` is the first of the runs that go on from each other: providers'
    call ids are unique among these only. `definition` is that of a source's tool: what was approved
    of another one is asked anew. `is_repeat`: it began before, and may be made again."""

    execution: AgentExecution
    root_id: UUID
    call: ToolCall
    rule_id: UUID | None
    definition: str
    is_repeat: bool


@transaction.atomic
def ask(*, question: Question, ordinal: int, now: datetime) -> Asked:
    """Whether the call may be made; asks people unless that was done.

    What is granted is used up and on record as started in one transaction, so that a crash leaves
    either an approval to use or a call of unknown outcome. Raises RunWithoutLease once the run is
    closed.
    """
    execution, call = question.execution, question.call
    executions.lock_running(execution)
    action = ACTION.format(call.tool)
    binding = selectors.binding_of(action, _asked_of(question))
    approval = _find(question, binding) or _open(question, action, binding, now)
    status = approval.status_at(now=now)
    if status == ApprovalStatus.PENDING:
        return Asked(Verdict(pending=failures.approval_pending(call.tool, approval.pk)))
    if status != ApprovalStatus.APPROVED:
        reason = REFUSALS[status].format(reason=approval.rejection_reason)
        return Asked(Verdict(refusal=reason))
    used = uses.consume(
        organization_id=execution.organization_id,
        approval_id=approval.pk,
        binding=binding,
        now=now,
    )
    if not used and not question.is_repeat:
        return Asked(Verdict(refusal=USED))
    return Asked(GRANTED, executions.add_call(execution, ordinal, call, now))


def _asked_of(question: Question) -> Mapping[str, Any]:
    arguments = question.call.arguments
    if not question.definition:
        return arguments
    return {"arguments": arguments, "definition": question.definition}


def _find(question: Question, binding: str) -> Approval | None:
    return selectors.find_for_call(
        organization_id=question.execution.organization_id,
        task_id=question.execution.task_id,
        call_id=_call_id(question),
        binding=binding,
    )


def _open(question: Question, action: str, binding: str, now: datetime) -> Approval:
    execution, call = question.execution, question.call
    agent_id = str(execution.agent_id)
    return requests.open_approval(
        organization_id=execution.organization_id,
        action=action[:255],
        details={"tool": call.tool, "arguments": call.arguments},
        binding=binding,
        requested_by=Actor(type="agent", id=agent_id, label=execution.agent_name),
        requester_user_id=execution.user_id,
        author_ids=_askers_of(execution),
        rule_id=question.rule_id,
        agent_id=execution.agent_id,
        task_id=execution.task_id,
        execution_id=execution.pk,
        call_id=_call_id(question),
        now=now,
    )


def _askers_of(execution: AgentExecution) -> list[UUID]:
    """Who asked with the one who asked first: also everybody who wrote the version or the override
    that the run goes by, or one that led to it, after the task was made; and those of the runs that
    called it."""
    askers: list[UUID | None] = list(execution.author_ids)
    asked_at = ids.made_at(execution.task_id) if execution.task_id else execution.created_at
    run: AgentExecution | None = execution
    while run is not None:
        versions = AgentVersion.objects.filter(
            agent_id=run.agent_id, number__lte=run.version.number, created_at__gt=asked_at
        )
        askers += versions.order_by("number").values_list("author_id", flat=True)
        # One that was taken back since the run began is still what the run goes by.
        overrides = AgentOverride.objects.filter(
            Q(deleted_at=None) | Q(deleted_at__gte=run.created_at),
            organization_id=run.organization_id,
            agent_name=run.agent_name,
            updated_at__gt=asked_at,
        )
        askers += overrides.order_by("pk").values_list("updated_by", flat=True)
        written = AgentOverrideRevision.objects.filter(
            override__in=overrides, created_at__gt=asked_at
        )
        askers += written.order_by("pk").values_list("author_id", flat=True)
        run = run.parent
    return [each for each in dict.fromkeys(askers) if each and each != execution.user_id]


def _call_id(question: Question) -> str:
    return str(call_key(root_id=question.root_id, call_id=question.call.id))
