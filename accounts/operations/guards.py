"""What no change of rights may do: lock an organization out, give or take more than one has."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import transaction

from accounts.errors import Escalation, LastHolder
from accounts.models import Organization, User
from accounts.models.rights import Rights
from accounts.operations import callers
from accounts.selectors import rights

# Without somebody who holds these, nobody could ever give a right again.
STEERING: Final = frozenset({"role.edit", "user_role.edit"})


@dataclass(slots=True)
class Change:
    """What a change of rights came to; `is_empty` once its operation found nothing to do."""

    is_empty: bool = False


@contextmanager
def changing_rights(*, organization_id: UUID) -> Iterator[Change]:
    """A transaction in which the organization's roles, assignments and active users change.

    One at a time in an organization, so that two who each take the other's rights cannot both find
    that somebody is left. Raises LastHolder at the end if the last active holder of one of STEERING
    lost it. Whoever remembers callers is told, unless the change is empty.
    """
    change = Change()
    with transaction.atomic():
        # Not FOR UPDATE: each insert into the organization's tables would wait for it.
        Organization.objects.select_for_update(no_key=True).get(pk=organization_id)
        before = rights.steerers(organization_id=organization_id, permissions=STEERING)
        yield change
        if change.is_empty:
            return
        if before - rights.steerers(organization_id=organization_id, permissions=STEERING):
            raise LastHolder
        callers.forget(organization_id=organization_id)


def check_gift(
    *, giver: User | None, permissions: Iterable[str], scope: Mapping[str, str] | None = None
) -> None:
    """Raises Escalation unless `giver` holds each of `permissions`, for all that `scope` covers.

    What counts is what they hold now, not when the request came: ask inside of `changing_rights`.
    Nobody (None) stands for the operator of this machine, who may give anything.
    """
    if lacking := _lacking(giver, permissions, scope):
        raise Escalation(data={"permissions": lacking})


def check_taking(
    *, giver: User | None, permissions: Iterable[str], scope: Mapping[str, str] | None = None
) -> None:
    """The same for what is taken from people.

    Else somebody could first take from others what keeps `check_reach` from them.
    """
    if lacking := _lacking(giver, permissions, scope):
        raise Escalation(
            "You cannot take permissions that you do not hold. Ask somebody who does.",
            data={"permissions": lacking},
        )


def check_reach(*, giver: User | None, user: User) -> None:
    """Raises Escalation unless `giver` may do all that `user` may, were they enabled.

    Whoever sets what somebody logs in with, or makes their rights small enough for that, could log
    in as them. Ask inside of `changing_rights`.
    """
    if giver is None:
        return
    held, theirs = present_rights(user=giver), rights.find_rights(user_ids=[user.pk])[user.pk]
    lacking = {key for key in theirs.everywhere if not held.hold(key)}
    for grant in theirs.scoped:
        scope = dict(grant.scope)
        lacking |= {key for key in grant.permissions if not held.hold(key, scope)}
    if lacking:
        raise Escalation(
            "This person may do more than you. Ask somebody who may do as much.",
            data={"permissions": sorted(lacking)},
        )


def _lacking(
    giver: User | None, permissions: Iterable[str], scope: Mapping[str, str] | None
) -> list[str]:
    if giver is None:
        return []
    held = present_rights(user=giver)
    return sorted({key for key in permissions if not held.hold(key, scope)})


def present_rights(*, user: User) -> Rights:
    """What `user` holds now, within the API key that they came with; nothing once disabled."""
    active = User.objects.filter(pk=user.pk, is_active=True).values_list("pk", flat=True)
    held = rights.find_rights(user_ids=list(active)).get(user.pk, Rights())
    limit = user.rights.limit
    return held if limit is None else held.within(limit)
