"""Console pages of approvals."""

from approvals.admin.inbox import ApprovalAdmin
from approvals.admin.rules import RuleAdmin

__all__ = ["ApprovalAdmin", "RuleAdmin"]
