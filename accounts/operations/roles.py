"""Roles: what they permit."""

from datetime import datetime
from typing import Final

from django.db import transaction

from accounts.choices import UserRole
from accounts.models import Organization, Role
from accounts.operations import callers
from kernel import permissions

# Contract 002 A4; the three of 003 follow from the catalogue (contract decisions 9).
NAMED: Final = {
    "approver": ("Approves access requests.", frozenset({"secret.approve", "audit.read"})),
    "developer": ("Asks for access.", frozenset({"secret.request", "audit.read"})),
}
DESCRIPTIONS: Final = {
    UserRole.ADMIN: "Everything.",
    UserRole.OPERATOR: "Everything but what steers rights, settings and security.",
    UserRole.VIEWER: "Reads.",
}


@transaction.atomic
def offer_permissions(*, organization: Organization, now: datetime) -> None:
    """Make the built-in roles where they lack, and give them the permissions that are new.

    A permission is offered once: what was taken from a role since does not come back to it.
    """
    organization = Organization.objects.select_for_update().get(pk=organization.pk)
    fresh = sorted(set(permissions.catalogue()) - set(organization.offered_permissions))
    if not fresh:
        return
    known = {
        role.name: role for role in Role.objects.filter(organization=organization, is_system=True)
    }
    for name, description in _built_in().items():
        role = known.get(name) or Role(organization=organization, name=name, is_system=True)
        offered = {key for key in fresh if _begins_with(name, key)}
        role.description = role.description or description
        role.permissions = sorted({*role.permissions, *offered})
        role.updated_at = now
        role.save()
    organization.offered_permissions = sorted({*organization.offered_permissions, *fresh})
    organization.save(update_fields=["offered_permissions"])
    callers.forget(organization_id=organization.pk)


def _built_in() -> dict[str, str]:
    return {
        **{str(role): text for role, text in DESCRIPTIONS.items()},
        **{name: text for name, (text, _) in NAMED.items()},
    }


def _begins_with(role: str, key: str) -> bool:
    permission = permissions.catalogue()[key]
    match role:
        case UserRole.ADMIN:
            return True
        case UserRole.OPERATOR:
            return not permission.steers
        case UserRole.VIEWER:
            return permission.reads
        case _:
            return key in NAMED[role][1]
