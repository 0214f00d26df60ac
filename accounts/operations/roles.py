"""Roles: what they permit."""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from accounts.choices import SECURITY, UserRole
from accounts.errors import RoleInUse, RoleNameTaken, SystemRole
from accounts.models import Organization, Role, User
from accounts.operations import callers, guards
from accounts.operations.people import differing
from audit import operations as audit
from kernel import permissions as catalogue
from kernel.actors import SYSTEM, Actor
from kernel.errors import Invalid, NotFound

# Contract 002 A4; the three of 003 follow from the catalogue (contract decisions 9).
NAMED: Final = {
    "approver": (
        "Approves access requests.",
        frozenset({"secret.approve", "audit.read", "approval.read", "approval.decide"}),
    ),
    "developer": (
        "Asks for access.",
        frozenset({"secret.request", "audit.read", "approval.read", "approval.request"}),
    ),
}
DESCRIPTIONS: Final = {
    UserRole.ADMIN: "Everything.",
    UserRole.OPERATOR: "Everything but what steers rights, settings and security.",
    UserRole.VIEWER: "Reads.",
}
# Of a role's holders in an audit row; their number is there besides.
MOST_NAMED: Final = 200
# Whether something gives the organization's people the role of this name, whichever that is; apps
# above that do append themselves in `AppConfig.ready`.
REFERRED: Final[list[Callable[[UUID, str], bool]]] = []


def create_role(
    *,
    organization_id: UUID,
    name: str,
    description: str,
    permissions: Collection[str],
    giver: User | None,
    actor: Actor,
    now: datetime,
) -> Role:
    """Make a role. Raises RoleNameTaken, Escalation, or Invalid for an unknown permission."""
    keys = _known(permissions)
    role = Role(
        organization_id=organization_id, name=name, description=description, permissions=keys
    )
    with guards.changing_rights(organization_id=organization_id):
        guards.check_gift(giver=giver, permissions=keys)
        _check_name(role, name, giver)
        _save(role, force_insert=True)
        _record(role, "role.create", actor, now, {"name": name, "permissions": keys})
    return role


def update_role(
    *,
    organization_id: UUID,
    role_id: UUID,
    values: dict[str, Any],
    giver: User | None,
    actor: Actor,
    now: datetime,
) -> Role:
    """Change `name`, `description` and `permissions` as far as `values` has them.

    Raises NotFound, RoleNameTaken, SystemRole for another name of a built-in role, Escalation for
    permissions given or taken that the giver lacks, LastHolder, or Invalid for an unknown
    permission. What is as it was leaves no trace.
    """
    asked = dict(values)
    if "permissions" in asked:
        asked["permissions"] = _known(asked["permissions"])
    with guards.changing_rights(organization_id=organization_id) as change:
        role = _get(organization_id, role_id)
        changes = differing(role, asked)
        if not changes:
            change.is_empty = True
            return role
        before = {name: getattr(role, name) for name in changes}
        if role.is_system and changes.get("name", role.name) != role.name:
            raise SystemRole
        # What it had and keeps is nobody's gift.
        had, has = set(role.permissions), set(changes.get("permissions", role.permissions))
        guards.check_gift(giver=giver, permissions=has - had)
        guards.check_taking(giver=giver, permissions=had - has)
        for name, value in changes.items():
            setattr(role, name, value)
        for name in (before["name"], role.name) if "name" in changes else ():
            _check_name(role, name, giver)
        role.updated_at = now
        _save(role, update_fields=[*changes, "updated_at"])
        _record(role, "role.update", actor, now, {"before": before, "after": changes})
    return role


def delete_role(
    *, organization_id: UUID, role_id: UUID, giver: User | None, actor: Actor, now: datetime
) -> None:
    """Delete a role; whoever held it, for everything or for a scope, holds it no more.

    Raises NotFound, SystemRole, LastHolder, Escalation if it permits what the giver lacks, or
    RoleInUse while something else than an assignment names it.
    """
    with guards.changing_rights(organization_id=organization_id):
        role = _get(organization_id, role_id)
        if role.is_system:
            raise SystemRole
        guards.check_taking(giver=giver, permissions=role.permissions)
        held = role.assignments.order_by("user_id").distinct().values_list("user_id", flat=True)
        holders = [str(user_id) for user_id in held]
        details = {
            "name": role.name,
            "permissions": role.permissions,
            "holder_count": len(holders),
            "holders": holders[:MOST_NAMED],
        }
        _record(role, "role.delete", actor, now, details)
        _delete(role)


@transaction.atomic
def offer_permissions(*, organization: Organization, now: datetime) -> None:
    """Make the built-in roles where they lack, and give them the permissions that are new.

    A permission is offered once: what was taken from a role since does not come back to it.
    """
    organization = Organization.objects.select_for_update().get(pk=organization.pk)
    fresh = sorted(set(catalogue.catalogue()) - set(organization.offered_permissions))
    if not fresh:
        return
    is_new = not organization.offered_permissions
    known = {
        role.name: role for role in Role.objects.filter(organization=organization, is_system=True)
    }
    entries = [
        entry
        for name in _built_in()
        if (entry := _offer(organization, known.get(name), name, fresh, now))
    ]
    organization.offered_permissions = sorted({*organization.offered_permissions, *fresh})
    organization.save(update_fields=["offered_permissions"])
    if not is_new:  # whose row says that it was made, and so with its roles
        audit.record_all(entries=entries, now=now)
    callers.forget(organization_id=organization.pk)


def _offer(
    organization: Organization, known: Role | None, name: str, fresh: list[str], now: datetime
) -> audit.Entry | None:
    """Make or widen one built-in role; what audit says of it, if anything changed."""
    role = known or Role(organization=organization, name=name, is_system=True, created_at=now)
    added = [key for key in fresh if _begins_with(name, key) and key not in role.permissions]
    if known is not None and not added:
        return None
    role.description = role.description or _built_in()[name]
    role.permissions = sorted({*role.permissions, *added})
    role.updated_at = now
    role.save()
    return audit.Entry(
        SYSTEM,
        organization.pk,
        "role.update" if known else "role.create",
        "role",
        role.pk,
        {"name": name, "added": added},
    )


def _check_name(role: Role, name: str, giver: User | None) -> None:
    """A name that roles are given by gives this one, or takes it: for those who could give it."""
    if any(refers(role.organization_id, name) for refers in REFERRED):
        guards.check_gift(giver=giver, permissions={*role.permissions, SECURITY})


def _known(keys: Collection[str]) -> list[str]:
    """`keys` sorted, each once; raises Invalid if the catalogue lacks one."""
    known = catalogue.catalogue()
    wrong = sorted(set(keys) - set(known))
    if wrong:
        raise Invalid(
            fields=[
                {
                    "field": "permissions",
                    "message": f"`{key}` is no permission; GET /api/v1/permissions lists them.",
                    "type": "unknown_permission",
                }
                for key in wrong
            ]
        )
    return sorted(set(keys))


def _get(organization_id: UUID, role_id: UUID) -> Role:
    role = Role.objects.filter(organization_id=organization_id, pk=role_id).first()
    if role is None:
        raise NotFound
    return role


def _delete(role: Role) -> None:
    try:
        with transaction.atomic():
            role.delete()
    except ProtectedError:
        raise RoleInUse from None


def _save(role: Role, **options: Any) -> None:
    try:
        with transaction.atomic():
            role.save(**options)
    except IntegrityError:
        raise RoleNameTaken from None


def _record(role: Role, action: str, actor: Actor, now: datetime, details: dict[str, Any]) -> None:
    audit.record(
        actor=actor,
        organization_id=role.organization_id,
        action=action,
        resource_type="role",
        resource_id=role.pk,
        details=details,
        now=now,
    )


def _built_in() -> dict[str, str]:
    return {
        **{str(role): text for role, text in DESCRIPTIONS.items()},
        **{name: text for name, (text, _) in NAMED.items()},
    }


def _begins_with(role: str, key: str) -> bool:
    permission = catalogue.catalogue()[key]
    match role:
        case UserRole.ADMIN:
            return True
        case UserRole.OPERATOR:
            return not permission.steers
        case UserRole.VIEWER:
            return permission.reads
        case _:
            return key in NAMED[role][1]
