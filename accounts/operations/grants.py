"""Who holds which role."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.choices import SCOPE_KEYS
from accounts.errors import AlreadyGranted
from accounts.models import Role, RoleAssignment, User
from accounts.operations import callers, guards
from audit import operations as audit
from kernel.actors import Actor
from kernel.errors import Invalid, NotFound

LONGEST: Final = 255
# Scope keys that hold an object's id, and whether an organization has it; apps above that own such
# objects add theirs in `AppConfig.ready`.
OBJECTS: Final[dict[str, Callable[[UUID, UUID], bool]]] = {}


def grant_role(
    *,
    organization_id: UUID,
    user_id: UUID,
    role_id: UUID,
    scope: Mapping[str, object],
    giver: User | None,
    actor: Actor,
    now: datetime,
) -> RoleAssignment:
    """Let a person hold a role, for everything or for what `scope` names (contract 002 A4).

    Raises Invalid for an unknown user, role, scope key or object of the scope, AlreadyGranted, or
    Escalation if the role permits what the giver does not hold for that scope.
    """
    covered = check_scope(organization_id=organization_id, scope=scope)
    with guards.changing_rights(organization_id=organization_id):
        user, role = _user(organization_id, user_id), _role(organization_id, role_id)
        guards.check_gift(giver=giver, permissions=role.permissions, scope=covered)
        assignment = RoleAssignment(
            organization_id=organization_id,
            user=user,
            role=role,
            scope=covered,
            granted_by=giver,
            created_at=now,
        )
        try:
            with transaction.atomic():
                assignment.save(force_insert=True)
        except IntegrityError:
            raise AlreadyGranted from None
        _record(assignment, "user_role.grant", actor, now)
    return assignment


def withdraw_role(
    *,
    organization_id: UUID,
    assignment_id: UUID,
    giver: User | None,
    actor: Actor,
    now: datetime,
) -> None:
    """Take a role from a person.

    Raises NotFound, LastHolder, or Escalation if it permits what `giver` does not hold for its
    scope.
    """
    with guards.changing_rights(organization_id=organization_id):
        assignment = (
            RoleAssignment.objects.select_related("role", "user")
            .filter(organization_id=organization_id, pk=assignment_id)
            .first()
        )
        if assignment is None:
            raise NotFound
        guards.check_taking(
            giver=giver, permissions=assignment.role.permissions, scope=assignment.scope
        )
        _record(assignment, "user_role.withdraw", actor, now)
        assignment.delete()


def hold_only(*, user: User, role: str, giver: User | None, actor: Actor, now: datetime) -> bool:
    """Make `role` the one that `user` holds everywhere; what they hold for a scope stays.

    Answers whether that changes anything. Only inside of `guards.changing_rights`. Raises Invalid
    for an unknown role, or Escalation, also if `user` may do more than `giver`.
    """
    held = find_role(organization_id=user.organization_id, name=role)
    rows = RoleAssignment.objects.select_related("role", "user").filter(user=user, scope={})
    has_it, others = rows.filter(role=held).exists(), list(rows.exclude(role=held))
    if has_it and not others:
        return False
    # Before anything is taken: the giver may be the user.
    guards.check_reach(giver=giver, user=user)
    if not has_it:
        guards.check_gift(giver=giver, permissions=held.permissions)
    for assignment in others:
        _record(assignment, "user_role.withdraw", actor, now)
        assignment.delete()
    if has_it:
        return True
    given = RoleAssignment.objects.create(
        organization_id=user.organization_id,
        user=user,
        role=held,
        granted_by=giver,
        created_at=now,
    )
    _record(given, "user_role.grant", actor, now)
    return True


@transaction.atomic
def give_first_role(*, user: User, role: str, giver: User | None = None) -> None:
    """What a new user begins with: the organization's role of that name, everywhere.

    Raises Invalid for an unknown role, or Escalation.
    """
    held = find_role(organization_id=user.organization_id, name=role)
    guards.check_gift(giver=giver, permissions=held.permissions)
    RoleAssignment.objects.create(
        organization_id=user.organization_id, user=user, role=held, granted_by=giver
    )
    callers.forget(organization_id=user.organization_id)


def find_role(*, organization_id: UUID, name: str) -> Role:
    """The role of this name, in any case of letters. Raises Invalid."""
    role = Role.objects.filter(organization_id=organization_id, name__iexact=name).first()
    if role is None:
        raise Invalid.field("role", "There is no role of this name.", type="unknown_role")
    return role


def check_scope(*, organization_id: UUID, scope: Mapping[str, object]) -> dict[str, str]:
    """`scope` with texts under known keys, ids as the hub writes them; raises Invalid.

    An unknown key or object would match no action, and an empty prefix every one.
    """
    wrong = [
        {"field": f"scope.{key}", "message": message, "type": "invalid"}
        for key, value in scope.items()
        if (message := _fault(key, value))
    ]
    if wrong:
        raise Invalid(fields=wrong)
    found = {key: _named(organization_id, key, str(value)) for key, value in scope.items()}
    unknown = [
        {"field": f"scope.{key}", "message": "There is no such object.", "type": "unknown_object"}
        for key, value in found.items()
        if value is None
    ]
    if unknown:
        raise Invalid(fields=unknown)
    return {key: value for key, value in found.items() if value is not None}


def _named(organization_id: UUID, key: str, value: str) -> str | None:
    """What stands for `value` in a scope; None if it is the id of nothing that is there."""
    exists = OBJECTS.get(key)
    if exists is None:
        return value
    try:
        object_id = UUID(value)
    except ValueError:
        return None
    return str(object_id) if exists(organization_id, object_id) else None


def _fault(key: str, value: object) -> str:
    if key not in SCOPE_KEYS:
        return f"Use one of: {', '.join(sorted(SCOPE_KEYS))}."
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST or "\x00" in value:
        return f"Send a text of 1 to {LONGEST} characters."
    return ""


def _user(organization_id: UUID, user_id: UUID) -> User:
    user = User.objects.filter(organization_id=organization_id, pk=user_id).first()
    if user is None:
        raise Invalid.field("user_id", "There is no such user.", type="unknown_user")
    return user


def _role(organization_id: UUID, role_id: UUID) -> Role:
    role = Role.objects.filter(organization_id=organization_id, pk=role_id).first()
    if role is None:
        raise Invalid.field("role_id", "There is no such role.", type="unknown_role")
    return role


def _record(assignment: RoleAssignment, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        actor=actor,
        organization_id=assignment.organization_id,
        action=action,
        resource_type="user_role",
        resource_id=assignment.pk,
        details={
            "user_id": str(assignment.user_id),
            "email": assignment.user.email,
            "role_id": str(assignment.role_id),
            "role": assignment.role.name,
            "scope": assignment.scope,
        },
        now=now,
    )
