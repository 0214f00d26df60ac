"""What one caller holds, permission by permission (contract 004 C5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid5

from accounts.models import RoleAssignment, User

# Scopes that name one object; others have no place in seed 004's model, which knows only objects.
OBJECTS: Final = frozenset({"agent_id", "environment_id", "project_id"})


@dataclass(frozen=True, slots=True, order=True)
class Given:
    """One permission by one assignment, with an id that stays; `object_id` None: everything."""

    permission: str
    role: str
    object_id: str | None
    id: UUID


def list_given(*, user: User) -> list[Given]:
    """What `user.rights` allow, by permission and role; an API key's within its scopes.

    Grants for something that is no single object are left out: shown without their scope they would
    read as grants for everything.
    """
    rows = RoleAssignment.objects.filter(
        organization_id=user.organization_id, user_id=user.pk
    ).values_list("pk", "scope", "role__name", "role__permissions")
    limit = user.rights.limit
    found = [
        Given(permission, role, _object(scope), uuid5(pk, permission))
        for pk, scope, role, permissions in rows
        if not user.rights.restriction and _is_shown(scope)
        for permission in permissions
        if limit is None or permission in limit
    ]
    return sorted(found, key=lambda g: (g.permission, g.role, g.object_id or "", g.id))


def _is_shown(scope: Mapping[str, str]) -> bool:
    return not scope or (len(scope) == 1 and set(scope) <= OBJECTS)


def _object(scope: Mapping[str, str]) -> str | None:
    return next(iter(scope.values()), None)
