"""The inbox: what waits for people comes first."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final
from uuid import UUID

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from approvals import selectors
from approvals.admin.fresh import FreshForm, organization_of, show_factor
from approvals.choices import DECIDE, LONGEST_TEXT, READ, ApprovalStatus, Decision
from approvals.errors import ApprovalNotFound
from approvals.models import Approval, Terms, Vote
from approvals.operations import decisions
from approvals.selectors import Inquiry
from kernel import clock, display
from kernel.admin import ConsoleAdmin, ConsoleInline, names_of
from kernel.admin_columns import column, exact_time, recent_values, time_column
from kernel.admin_forms import TEXTS, form_button

SHORT: Final = 120
BRIEF: Final = 40
PAGES: Final = {"agent": "agents_agent", "task": "tasks_task"}
CALLED: Final = {"agent": "agent_name", "task": "task_title"}


class DecisionForm(FreshForm):
    """A vote, under what it is about and what will happen."""

    def consequence(self, inquiry: Inquiry) -> str:
        """What this vote does, as a sentence."""
        raise NotImplementedError

    def render_before_template(self) -> str:
        """What is asked for, and what this vote does."""
        inquiry = self._inquire()
        about = _explain(inquiry, self.consequence(inquiry)) if inquiry else SafeString("")
        return about + super().render_before_template()

    def _inquire(self) -> Inquiry | None:
        with suppress(ValueError, ApprovalNotFound):
            approval = selectors.get_approval(
                organization_id=organization_of(self.request),
                approval_id=UUID(str(self.object_id)),
            )
            return selectors.inquire(approval=approval, now=clock.now())
        return None


class ApproveForm(DecisionForm):
    """A vote for it."""

    note = forms.CharField(
        label="Note", required=False, max_length=LONGEST_TEXT, widget=TEXTS(attrs={"rows": 3})
    )

    def consequence(self, inquiry: Inquiry) -> str:
        """Whether it is the last one that is needed."""
        if inquiry.missing > 1:
            return f"After your vote it needs {inquiry.missing - 1} more; until then it waits."
        if inquiry.approval.call_id:
            return "Yours is the last vote that it needs: the agent then does just this, once."
        return "Yours is the last vote that it needs: it is allowed, once."


class RejectForm(DecisionForm):
    """A vote against it."""

    reason = forms.CharField(
        label="Reason", max_length=LONGEST_TEXT, widget=TEXTS(attrs={"rows": 3})
    )

    def consequence(self, inquiry: Inquiry) -> str:
        """One such vote is enough."""
        if inquiry.approval.call_id:
            return "It is rejected for good. The agent is told your reason and goes on without it."
        return "It is rejected for good."


class VoteInline(ConsoleInline):
    """Who said what."""

    model = Vote
    verbose_name_plural = "votes"
    fields = readonly_fields = (
        "user",
        column("vote", lambda vote: Decision(vote.decision).label),
        "note",
        time_column("created_at", "at"),
    )
    ordering = ("created_at", "pk")
    hide_title = True


def _status(approval: Approval) -> SafeString:
    found = approval.status_at(now=clock.now())
    return display.status("awaited" if found == ApprovalStatus.PENDING else found, found.label)


def _named(kind: str) -> Callable[[Approval], Any]:
    """What asked, by its name: a link for who may open it, else what it was called then."""

    def link(approval: Approval) -> Any:
        pk = getattr(approval, f"{kind}_id")
        names: Mapping[tuple[str, str], str] = getattr(approval, "names", {})
        if (kind, str(pk)) in names:
            return display.page_link(PAGES[kind], pk, names[kind, str(pk)])
        then: str = getattr(approval, CALLED[kind])
        return then or (display.identifier(pk) if pk else display.NOTHING)

    return link


def _asker(approval: Approval) -> str:
    """Who asked; for an agent, with the person behind its run."""
    asker = approval.requested_by_label or approval.requested_by
    person = approval.requester_email
    return f"{asker}, for {person}" if person and person != asker else asker


def _gist(approval: Approval) -> str:
    """The arguments in one short line."""
    asked = approval.details.get("arguments", approval.details)
    if not isinstance(asked, dict):
        return _short(display.structure(asked), SHORT)
    # The short ones first: there is room for more of them.
    said = sorted(
        (f"{name}: {_short(display.structure(v), BRIEF)}" for name, v in asked.items()), key=len
    )
    return _short(", ".join(said), SHORT) or display.NOTHING


def _short(text: str, most: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else f"{text[:most]}…"


def _rule(approval: Approval) -> str:
    terms: Terms = approval.terms
    people = "1 person" if terms.min_approvals == 1 else f"{terms.min_approvals} people"
    return f"{terms.name}: {people}"


def _progress(approval: Approval) -> SafeString | str:
    """How far it is, while it waits."""
    known: Inquiry | None = getattr(approval, "inquiry", None)
    inquiry = known or selectors.inquire(approval=approval, now=clock.now())
    if inquiry.status != ApprovalStatus.PENDING:
        return display.NOTHING
    people = ", ".join(person.email for person in inquiry.deciders) or "nobody"
    text = f"{inquiry.missing} missing. May still vote: {people}."
    if not inquiry.can_be_met:
        return format_html("{} <strong>They are too few for this rule.</strong>", text)
    return text


def _explain(inquiry: Inquiry, consequence: str) -> SafeString:
    approval = inquiry.approval
    cut = "Only a part is shown; the vote is about all of it." if approval.details_cut else ""
    return format_html(
        '<div class="hub-stack hub-asked"><p><strong>{}</strong>, asked by {}{}.</p>{}<p>{}</p>'
        '<p class="hub-note">{}</p></div>',
        approval.action,
        _asker(approval),
        f", for the task {approval.task_title}" if approval.task_title else "",
        display.structure_block(approval.details),
        cut,
        consequence,
    )


def _waits(approval: Approval) -> bool:
    return approval.status_at(now=clock.now()) == ApprovalStatus.PENDING


@admin.register(Approval)
class ApprovalAdmin(ConsoleAdmin):
    """What waits for people, and what became of it. An approval's address here never changes."""

    view_permission = READ
    edit_permission = DECIDE
    audited_as = ("approval", "action")
    api_path = "/api/v1/approvals"
    linked_filters: ClassVar = ("task_id", "agent_id")
    list_display: ClassVar = (
        "action",
        column("status", _status),
        column("asks for", _gist),
        column("agent", _named("agent")),
        column("task", _named("task")),
        time_column("created_at", "asked"),
        time_column("expires_at", "expires"),
        "decided_by",
        "short_id",
    )
    list_select_related: ClassVar = ("decided_by",)
    list_filter: ClassVar = ("status", recent_values("action"))
    search_fields: ClassVar = ("action", "requested_by_label")
    # PostgreSQL puts null first: what nobody decided yet.
    ordering: ClassVar = ("-decided_at", "-created_at", "-pk")
    fields: ClassVar = (
        "action",
        column("status", _status),
        column("asks for", lambda approval: approval.details, display.structure_block),
        column("shown", lambda row: "in part: it is longer" if row.details_cut else "as a whole"),
        column("agent", _named("agent")),
        column("task", _named("task")),
        column("asked by", _asker),
        column("rule", _rule),
        column("votes", _progress),
        exact_time("created_at"),
        exact_time("expires_at"),
        "decided_by",
        exact_time("decided_at"),
        column("note", lambda row: row.decision_note, display.text_block),
        column("reason", lambda row: row.rejection_reason, display.text_block),
        exact_time("used_at"),
        "whole_id",
        "api_link",
    )
    inlines: ClassVar = (VoteInline,)
    change_form_outer_before_template = "console/approval.html"
    actions_detail: ClassVar = ("approve_approval", "reject_approval")

    def has_edit_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whoever may decide, be it for the one agent that asks (`obj` is the approval's id)."""
        if super().has_edit_permission(request):
            return True
        approval = self.get_object(request, str(obj)) if obj else None
        return approval is not None and request.user.may(DECIDE, approval.scope)  # type: ignore[union-attr]  # logged in

    def read_along(self, request: HttpRequest, rows: Sequence[Approval]) -> None:
        """What the agents and tasks are called that asked."""
        wanted = {
            kind: {pk for row in rows if (pk := getattr(row, f"{kind}_id")) is not None}
            for kind in PAGES
        }
        names = names_of(request, wanted)
        for row in rows:
            row.names = names  # type: ignore[attr-defined]  # read by `_named`

    def page_context(self, request: HttpRequest, row: Approval) -> Mapping[str, Any]:
        """What is asked for in short, and whether the reader's vote is."""
        inquiry = selectors.inquire(approval=row, now=clock.now())
        row.inquiry = inquiry  # type: ignore[attr-defined]  # read by `_progress`
        return {
            "asked": {
                "status": _status(row),
                "by": _asker(row),
                "gist": _gist(row),
                "progress": _progress(row),
            },
            "is_pending": inquiry.status == ApprovalStatus.PENDING,
            "may_vote": request.user.pk in inquiry.decider_ids,
            "has_voted": any(vote.user_id == request.user.pk for vote in inquiry.votes),
        }

    @form_button("Approve", ApproveForm, icon="check", available=_waits)
    def approve_approval(self, request: HttpRequest, approval: Approval, note: str) -> None:
        """Vote for it."""
        decisions.approve(note=note, **self._vote(request, approval))

    @form_button("Reject", RejectForm, icon="close", available=_waits)
    def reject_approval(self, request: HttpRequest, approval: Approval, reason: str) -> None:
        """Vote against it."""
        decisions.reject(reason=reason, **self._vote(request, approval))

    def _vote(self, request: HttpRequest, approval: Approval) -> dict[str, Any]:
        actor, now = self.actor(request), clock.now()
        show_factor(request, actor=actor, now=now)
        return {
            "organization_id": organization_of(request),
            "approval_id": approval.pk,
            "actor": actor,
            "user": request.user,
            "now": now,
        }
