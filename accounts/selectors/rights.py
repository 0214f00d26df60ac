"""Questions about rights: who may do what."""

from collections.abc import Collection
from typing import Any, TypeVar, cast
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Model, OuterRef, QuerySet
from django.db.models.functions import JSONObject

from accounts.models import RoleAssignment
from accounts.models.rights import Rights

M = TypeVar("M", bound=Model)


def find_rights(*, user_ids: Collection[UUID]) -> dict[UUID, Rights]:
    """The rights of each of the users, those of somebody without a role too; one query."""
    held: dict[UUID, list[tuple[dict[str, str], str, list[str]]]] = {who: [] for who in user_ids}
    rows = RoleAssignment.objects.filter(user_id__in=user_ids).values_list(
        "user_id", "scope", "role__name", "role__permissions"
    )
    for user_id, *assignment in rows:
        held[user_id].append(tuple(assignment))
    return {user_id: Rights.of(assignments) for user_id, assignments in held.items()}


def with_rights(rows: QuerySet[M, M], *, user: str = "user_id") -> QuerySet[M, M]:
    """`rows` with what the user in column `user` holds, read along: `User.rights` of `held`."""
    assignments = RoleAssignment.objects.filter(user_id=OuterRef(user)).order_by()
    shown: Any = JSONObject(scope="scope", role="role__name", permissions="role__permissions")
    found: Any = rows.annotate(held=ArraySubquery(assignments.values(shown=shown)))
    return cast("QuerySet[M, M]", found)


def steerers(*, organization_id: UUID, permissions: Collection[str]) -> frozenset[str]:
    """Those of `permissions` that some active user of the organization holds everywhere."""
    held = RoleAssignment.objects.filter(
        organization_id=organization_id,
        scope={},
        user__is_active=True,
        role__permissions__overlap=list(permissions),
    ).values_list("role__permissions", flat=True)
    return frozenset(permissions).intersection(*[frozenset().union(*held)])
