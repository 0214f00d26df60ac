"""Wire shapes of approvals and their rules (contract 003 B22)."""

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final
from uuid import UUID

from rest_framework import serializers

from approvals import choices, selectors
from approvals.choices import ApprovalStatus, Decision
from approvals.models import Approval, ApprovalRule, Vote
from approvals.operations.details import UNSTORABLE
from approvals.selectors import Inquiry
from kernel.http.shapes import StrictInput

SCALARS: Final = (str, bool, int, float, type(None))


class ApprovalInput(StrictInput[Any]):
    """`POST /approvals`."""

    action = serializers.RegexField(
        rf"^{choices.ACTION}\Z",
        help_text="What is to be allowed: `execute_tool:<name>`, `deploy`.",
        error_messages={"invalid": "Use letters, digits and _ . : / @ - (at most 255)."},
    )
    details = serializers.DictField(
        default=dict, help_text="What people decide about; secrets are masked."
    )
    task_id = serializers.UUIDField(required=False, allow_null=True)
    rule_id = serializers.UUIDField(
        required=False, allow_null=True, help_text="Without it the most specific that fits counts."
    )


class ApproveInput(StrictInput[Any]):
    """`POST /approvals/{id}/approve`."""

    note = serializers.CharField(default="", allow_blank=True, max_length=choices.LONGEST_TEXT)


class RejectInput(StrictInput[Any]):
    """`POST /approvals/{id}/reject`."""

    reason = serializers.CharField(max_length=choices.LONGEST_TEXT)


class ApprovalTermsOutput(serializers.Serializer[Any]):
    """A rule as it was when the approval was opened; the hub's own has no id."""

    rule_id = serializers.UUIDField(allow_null=True)
    name = serializers.CharField()
    revision = serializers.IntegerField()
    min_approvals = serializers.IntegerField()
    approver_role_id = serializers.UUIDField(allow_null=True)
    approvers = serializers.ListField(child=serializers.UUIDField())
    expires_after_seconds = serializers.IntegerField()
    allow_self_approval = serializers.BooleanField()


class ApprovalOutput(serializers.ModelSerializer[Approval]):
    """An approval of a list."""

    status = serializers.ChoiceField(ApprovalStatus.choices, source="standing")
    details = serializers.DictField(help_text="Without secrets, and at most 32 KiB of it.")
    decided_by = serializers.UUIDField(source="decided_by_id", allow_null=True)
    rule = ApprovalTermsOutput()

    class Meta:
        model = Approval
        fields = [
            "id",
            "action",
            "details",
            "details_cut",
            "status",
            "rule",
            "requested_by",
            "requested_by_label",
            "requester_user_id",
            "requester_email",
            "agent_id",
            "agent_name",
            "task_id",
            "task_title",
            "execution_id",
            "call_id",
            "decided_by",
            "decided_at",
            "decision_note",
            "rejection_reason",
            "expires_at",
            "used_at",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields


class ApprovalVoteOutput(serializers.ModelSerializer[Vote]):
    """What one person said."""

    user = serializers.CharField(source="user.email")
    decision = serializers.ChoiceField(Decision.choices)

    class Meta:
        model = Vote
        fields = ["user_id", "user", "decision", "note", "created_at"]
        read_only_fields = fields


class ApprovalDeciderOutput(serializers.Serializer[Any]):
    """Somebody who may still vote."""

    user_id = serializers.UUIDField(source="pk")
    user = serializers.CharField(source="email")


class ApprovalDetailOutput(ApprovalOutput):
    """One approval with its `inquiry`: who voted, who may, and whether they are enough."""

    votes = ApprovalVoteOutput(many=True, source="inquiry.votes")
    missing_approvals = serializers.IntegerField(
        source="inquiry.missing", help_text="How many it lacks while it is pending."
    )
    deciders = ApprovalDeciderOutput(
        many=True,
        source="inquiry.deciders",
        help_text="Who may still vote, as rights are now; at most 50 of them.",
    )
    can_decide = serializers.BooleanField(help_text="Whether the caller is one of them.")
    can_be_met = serializers.BooleanField(
        source="inquiry.can_be_met",
        allow_null=True,
        help_text="Whether those who may still vote are enough; null once it is not pending.",
    )

    class Meta(ApprovalOutput.Meta):
        fields = [
            *ApprovalOutput.Meta.fields,
            "votes",
            "missing_approvals",
            "deciders",
            "can_decide",
            "can_be_met",
        ]
        read_only_fields = fields


def show_inquiry(inquiry: Inquiry, *, user_id: UUID) -> dict[str, Any]:
    """An inquiry as one reader sees it."""
    shown: Any = inquiry.approval
    shown.inquiry, shown.standing = inquiry, inquiry.status
    shown.can_decide = user_id in inquiry.decider_ids
    return dict(ApprovalDetailOutput(shown).data)


class ApprovalRuleInput(StrictInput[Any]):
    """`POST` and `PATCH /approval-rules`."""

    name = serializers.CharField(max_length=100)
    description = serializers.CharField(
        max_length=choices.LONGEST_TEXT, allow_blank=True, required=False
    )
    action = serializers.RegexField(
        rf"^{choices.PATTERN}\Z",
        help_text="An action, or the beginning of some and a `*`: `execute_tool:*`.",
        error_messages={"invalid": "Use letters, digits, _ . : / @ - and a * at the end alone."},
    )
    conditions = serializers.DictField(
        required=False,
        help_text='Values that details must have: `{"arguments.environment": "prod"}`.',
    )
    min_approvals = serializers.IntegerField(
        min_value=1, max_value=choices.MOST_APPROVALS, required=False
    )
    approver_role_id = serializers.UUIDField(required=False, allow_null=True)
    approvers = serializers.ListField(
        child=serializers.UUIDField(),
        max_length=choices.MOST_APPROVERS,
        required=False,
        help_text="Ids of people, besides the holders of the role.",
    )
    expires_after_seconds = serializers.IntegerField(
        min_value=choices.SHORTEST, max_value=choices.LONGEST, required=False
    )
    allow_self_approval = serializers.BooleanField(required=False)
    is_active = serializers.BooleanField(required=False)

    def validate_conditions(self, value: Mapping[str, Any]) -> Mapping[str, Any]:
        """Few, and each of them about one plain value."""
        if len(value) > choices.MOST_CONDITIONS:
            raise serializers.ValidationError(f"At most {choices.MOST_CONDITIONS} conditions.")
        if not all(isinstance(wanted, SCALARS) and name for name, wanted in value.items()):
            raise serializers.ValidationError("Compare with a text, a number, true, false or null.")
        if any(isinstance(wanted, float) and not isfinite(wanted) for wanted in value.values()):
            raise serializers.ValidationError("Compare with a number that is finite.")
        if any(UNSTORABLE.search(f"{name}{wanted}") for name, wanted in value.items()):
            raise serializers.ValidationError("Leave out the NUL character and half pairs.")
        return value

    def validate_approvers(self, value: list[UUID]) -> list[UUID]:
        """Each once."""
        return list(dict.fromkeys(value))


class ApprovalRuleOutput(serializers.ModelSerializer[ApprovalRule]):
    """A rule."""

    approver_role_id = serializers.UUIDField(allow_null=True)

    class Meta:
        model = ApprovalRule
        fields = [
            "id",
            "name",
            "description",
            "action",
            "conditions",
            "min_approvals",
            "approver_role_id",
            "approvers",
            "expires_after_seconds",
            "allow_self_approval",
            "is_active",
            "revision",
            "created_at",
            "updated_at",
        ]
        read_only_fields = fields


class ApprovalRuleDetailOutput(ApprovalRuleOutput):
    """A rule, and whether there are people for it."""

    possible_voters = serializers.SerializerMethodField(
        help_text="How many people may vote at most, as rights are now: fewer than `min_approvals`"
        " approve nothing. Whoever asks is not one of them unless `allow_self_approval`."
    )

    class Meta(ApprovalRuleOutput.Meta):
        fields = [*ApprovalRuleOutput.Meta.fields, "possible_voters"]
        read_only_fields = fields

    def get_possible_voters(self, rule: ApprovalRule) -> int:
        """By whoever holds the right and is named."""
        return selectors.count_voters(rule=rule)
