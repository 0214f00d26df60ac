"""Vocabularies, permissions and limits of approvals."""

from typing import Final

from django.db.models import TextChoices

from kernel.permissions import Permission
from preferences.choices import Setting


class ApprovalStatus(TextChoices):
    """What became of a request (contract 003 B22)."""

    PENDING = "pending", "Pending"
    APPROVED = "approved", "Approved"
    REJECTED = "rejected", "Rejected"
    EXPIRED = "expired", "Expired"
    CANCELLED = "cancelled", "Cancelled"


class Decision(TextChoices):
    """What one person said."""

    APPROVE = "approve", "Approve"
    REJECT = "reject", "Reject"


READ: Final = "approval.read"
REQUEST: Final = "approval.request"
DECIDE: Final = "approval.decide"
PERMISSIONS: Final = (
    Permission(READ, "Approvals", "See approvals and their rules.", reads=True),
    Permission(REQUEST, "Approvals", "Ask for an approval."),
    Permission(DECIDE, "Approvals", "Approve and reject what others ask for."),
)
MAIL: Final = "notifications.approval_mail"
SETTINGS: Final = (
    Setting(
        key=MAIL,
        kind="boolean",
        default=True,
        label="Write to those who may decide",
        description="Whoever may decide about an approval gets a mail with a link to it.",
    ),
)

# What a rule is for: an action, or the beginning of some.
WILDCARD: Final = "*"
# `execute_tool:weather:forecast`; of a rule the last character may be the wildcard.
ACTION: Final = r"[A-Za-z0-9_][A-Za-z0-9_.:/@-]{0,254}"
PATTERN: Final = rf"(?:{ACTION}|[A-Za-z0-9_.:/@-]{{0,254}}\*)"
LONGEST_ACTION: Final = 255
LONGEST_TEXT: Final = 2_000
MOST_APPROVALS: Final = 20
MOST_APPROVERS: Final = 100
MOST_CONDITIONS: Final = 20
SHORTEST: Final = 60
LONGEST: Final = 30 * 86_400
EXPIRES_AFTER_SECONDS: Final = 86_400
