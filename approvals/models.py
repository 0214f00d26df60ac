"""Rules, approvals, and the votes on them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.expressions import RawSQL
from django.db.models.functions import Lower

from accounts.models import Role, TenantRow, User
from approvals import choices
from approvals.choices import ApprovalStatus, Decision


@dataclass(frozen=True, slots=True)
class Terms:
    """Who decides about an approval and until when: a rule as it was, or the hub's own (no id).

    Approvers are the people in `approvers` and the holders of `approver_role_id`; where both are
    empty, everybody who may decide approvals.
    """

    rule_id: str | None = None
    name: str = "Built in"
    revision: int = 0
    min_approvals: int = 1
    approver_role_id: str | None = None
    approvers: tuple[str, ...] = ()
    expires_after_seconds: int = choices.EXPIRES_AFTER_SECONDS
    allow_self_approval: bool = False

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """From the JSON of `Approval.rule`."""
        return cls(**{**stored, "approvers": tuple(stored["approvers"])})

    def write(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "approvers": list(self.approvers)}


class ApprovalRule(TenantRow):
    """Which actions need whose approval.

    `action` is an action, or the beginning of some and a `*`. `conditions` maps names in an
    approval's details (with dots for what is inside: `arguments.environment`) to the value that
    they must have. `revision` goes up with each change; approvals keep the one they began with.
    """

    name = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    action = models.CharField(max_length=choices.LONGEST_ACTION)
    conditions = models.JSONField(default=dict, blank=True)
    min_approvals = models.PositiveSmallIntegerField(default=1)
    approver_role = models.ForeignKey(
        Role, models.PROTECT, null=True, blank=True, related_name="+", verbose_name="approver role"
    )
    # Ids of people, who are never deleted.
    approvers = ArrayField(models.UUIDField(), default=list, blank=True)
    expires_after_seconds = models.PositiveIntegerField(default=choices.EXPIRES_AFTER_SECONDS)
    allow_self_approval = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    revision = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint("organization", Lower("name"), name="approval_rule_name"),
            models.CheckConstraint(
                condition=models.Q(min_approvals__gte=1), name="approval_rule_asks_somebody"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def terms(self) -> Terms:
        """What an approval pins."""
        return Terms(
            rule_id=str(self.pk),
            name=self.name,
            revision=self.revision,
            min_approvals=self.min_approvals,
            approver_role_id=None if self.approver_role_id is None else str(self.approver_role_id),
            approvers=tuple(map(str, self.approvers)),
            expires_after_seconds=self.expires_after_seconds,
            allow_self_approval=self.allow_self_approval,
        )


class Approval(TenantRow):
    """One thing that waits for people to allow it (contract 003 B22).

    `binding` is the digest of exactly what is asked for (`selectors.binding_of`), `details` what
    people are shown of it. What asked is named by plain ids: it lives on higher floors. `call_id`
    is that of a tool call, empty if there is none. An approval is good for one use.
    """

    action = models.CharField(max_length=choices.LONGEST_ACTION)
    details = models.JSONField(default=dict)
    details_cut = models.BooleanField(default=False)
    binding = models.CharField(max_length=64)
    # `user:<id>` and a name, as in the audit trail.
    requested_by = models.CharField(max_length=128)
    requested_by_label = models.CharField(max_length=255, blank=True)
    requester_user_id = models.UUIDField(null=True, blank=True)
    # Who else wrote what the agent was told, or let it begin again.
    author_ids = ArrayField(
        models.UUIDField(), default=list, blank=True, db_default=RawSQL("'{}'::uuid[]", [])
    )
    # As they were called when it was asked: who decides may open neither agent nor task.
    requester_email = models.CharField(max_length=254, blank=True, default="", db_default="")
    agent_name = models.CharField(max_length=255, blank=True, default="", db_default="")
    task_title = models.CharField(max_length=500, blank=True, default="", db_default="")
    agent_id = models.UUIDField(null=True, blank=True)
    task_id = models.UUIDField(null=True, blank=True)
    execution_id = models.UUIDField(null=True, blank=True)
    call_id = models.CharField(max_length=255, blank=True)
    # Terms, pinned: a rule that changes later neither lowers nor raises the bar.
    rule = models.JSONField()
    status = models.CharField(
        max_length=16, choices=ApprovalStatus.choices, default=ApprovalStatus.PENDING
    )
    # Whose vote decided; null: nobody's.
    decided_by = models.ForeignKey(
        User, models.PROTECT, null=True, blank=True, related_name="+", verbose_name="decided by"
    )
    # When it stopped pending, however.
    decided_at = models.DateTimeField(null=True, blank=True)
    decision_note = models.TextField(blank=True)
    rejection_reason = models.TextField(blank=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)
    # When those who may decide were written to; claimed before, so that nobody hears of it twice.
    mailed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            # A run that is resumed asks for the same thing again.
            models.UniqueConstraint(
                fields=["organization", "task_id", "call_id", "binding"],
                condition=models.Q(task_id__isnull=False) & ~models.Q(call_id=""),
                name="approval_once_a_call",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-created_at", "-id"], name="approval_newest"),
            # PostgreSQL puts null first in descending order: what is pending comes first.
            models.Index(
                fields=["organization", "-decided_at", "-created_at", "-id"], name="approval_inbox"
            ),
            models.Index(
                fields=["expires_at"],
                condition=models.Q(status=ApprovalStatus.PENDING),
                name="approval_due",
            ),
            models.Index(
                fields=["task_id"],
                condition=models.Q(task_id__isnull=False),
                name="approval_task",
            ),
        ]

    def __str__(self) -> str:
        return self.action

    @property
    def terms(self) -> Terms:
        """Who decides, as pinned."""
        return Terms.read(self.rule)

    @property
    def scope(self) -> dict[str, str]:
        """What roles can be given for that it is about (`accounts.choices.SCOPE_KEYS`)."""
        return {} if self.agent_id is None else {"agent_id": str(self.agent_id)}

    def status_at(self, *, now: datetime) -> ApprovalStatus:
        """The status, also while no sweep has come by since it expired."""
        if self.status == ApprovalStatus.PENDING and self.expires_at <= now:
            return ApprovalStatus.EXPIRED
        return ApprovalStatus(self.status)

    def is_own(self, *, user_id: UUID) -> bool:
        """Whether this person asked for it, alone or with others, and so may not decide."""
        has_asked = user_id in {self.requester_user_id, *self.author_ids}
        return has_asked and not self.terms.allow_self_approval


class Vote(TenantRow):
    """What one person said about one approval."""

    approval = models.ForeignKey(Approval, models.CASCADE, related_name="votes")
    user = models.ForeignKey(User, models.PROTECT, related_name="+")
    decision = models.CharField(max_length=8, choices=Decision.choices)
    note = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["approval", "user"], name="vote_once_a_person")
        ]

    def __str__(self) -> str:
        return f"{self.get_decision_display()} by {self.user_id}"
