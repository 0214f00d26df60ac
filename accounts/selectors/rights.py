"""Questions about rights: who may do what."""

from collections.abc import Collection
from uuid import UUID

from accounts.models import RoleAssignment
from accounts.models.rights import Rights


def find_rights(*, user_ids: Collection[UUID]) -> dict[UUID, Rights]:
    """The rights of each of the users, those of somebody without a role too; one query."""
    held: dict[UUID, list[tuple[dict[str, str], str, list[str]]]] = {who: [] for who in user_ids}
    rows = RoleAssignment.objects.filter(user_id__in=user_ids).values_list(
        "user_id", "scope", "role__name", "role__permissions"
    )
    for user_id, *assignment in rows:
        held[user_id].append(tuple(assignment))
    return {user_id: Rights.of(assignments) for user_id, assignments in held.items()}
