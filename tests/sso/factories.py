"""Organizations with an identity provider."""

from typing import Any

from accounts.models import Organization, Role, User
from sso.models import Identity
from tests.accounts.factories import set_policy
from tests.peers.oidc_provider import CLIENT_ID, SECRET


def connect(organization: Organization, issuer: str, **values: Any) -> None:
    """Let people log in with the provider at `issuer`; `values` are settings without `oidc_`."""
    agreed = {"issuer": issuer, "client_id": CLIENT_ID, "client_secret": SECRET, **values}
    set_policy(organization, **{f"oidc_{name}": value for name, value in agreed.items()})


def connect_with_lost_roles(organization: Organization, issuer: str, **values: Any) -> None:
    """The same where roles that it names were deleted since."""
    named = {entry.rpartition("=")[2] for entry in values.get("group_roles", [])}
    lost = [
        Role.objects.create(organization=organization, name=name)
        for name in {*named, values.get("default_role", "")} - {""}
    ]
    connect(organization, issuer, **values)
    for role in lost:
        role.delete()


def link(user: User, issuer: str, subject: str) -> Identity:
    """Let `user` be `subject` at `issuer`."""
    return Identity.objects.create(
        organization=user.organization, user=user, issuer=issuer, subject=subject
    )
