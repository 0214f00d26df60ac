"""Organizations, people, what they may do, and how they prove who they are."""

from accounts.models.keys import AgentKey, ApiKey
from accounts.models.network import IpRule
from accounts.models.organization import Organization, TenantRow
from accounts.models.role import Role, RoleAssignment
from accounts.models.secrets import BackupCode, PastPassword, TotpDevice
from accounts.models.session import Session
from accounts.models.user import User

__all__ = [
    "AgentKey",
    "ApiKey",
    "BackupCode",
    "IpRule",
    "Organization",
    "PastPassword",
    "Role",
    "RoleAssignment",
    "Session",
    "TenantRow",
    "TotpDevice",
    "User",
]
