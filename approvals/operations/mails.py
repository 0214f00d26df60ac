"""Telling those who may decide, by mail: that something waits, and where. Never what it holds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.conf import settings

from accounts.models import User
from approvals import selectors
from approvals.choices import MAIL, ApprovalStatus
from approvals.models import Approval
from kernel import tenancy
from preferences.selectors import values


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail to one person."""

    to: str
    subject: str
    text: str


# Delivers an organization's letters; whether its mail server took them. The composition root, which
# knows mail servers, appends itself in `AppConfig.ready`.
POST: Final[list[Callable[[UUID, Sequence[Letter]], bool]]] = []
BATCH: Final = 20
TEXT: Final = """\
{asker} asks for an approval: {action}

Decide here until {until:%Y-%m-%d %H:%M} UTC:
{link}

You get this once, because you may decide about it.
"""


def write_to_deciders(*, now: datetime) -> int:
    """Write to everybody who may decide about what waits, at most once; how many letters that was.

    An approval is claimed before its letters go out: if a process dies in between, some are not
    written, but none comes twice. A server that does not answer is asked once a round.
    """
    waiting = Approval.objects.filter(
        status=ApprovalStatus.PENDING, mailed_at=None, expires_at__gt=now
    )
    silent: set[UUID] = set()
    written = 0
    for approval in waiting.order_by("created_at", "pk")[:BATCH]:
        if approval.organization_id in silent or not _claim(approval, now):
            continue
        with tenancy.organization(approval.organization_id):
            letters = _letters(approval)
            if letters and not all(send(approval.organization_id, letters) for send in POST):
                silent.add(approval.organization_id)
                continue
        written += len(letters)
    return written


def _claim(approval: Approval, now: datetime) -> bool:
    rows = Approval.objects.filter(pk=approval.pk, mailed_at=None)
    # Nothing of what people see changed.
    return rows.update(mailed_at=now, updated_at=approval.updated_at) == 1


def _letters(approval: Approval) -> list[Letter]:
    if not values.read(organization_id=approval.organization_id)[MAIL]:
        return []
    ids = selectors.find_deciders(approval=approval)
    people = User.objects.filter(organization_id=approval.organization_id, pk__in=ids)
    action = "".join(sign for sign in approval.action if sign.isprintable())
    text = TEXT.format(
        asker=approval.requested_by_label or approval.requested_by,
        action=action,
        until=approval.expires_at,
        link=f"{settings.HUB_PUBLIC_URL}/admin/approvals/approval/{approval.pk}/",
    )
    subject = f"Approval needed: {action}"
    first = people.order_by("email")[: selectors.MOST_SHOWN]
    return [Letter(person.email, subject, text) for person in first]
