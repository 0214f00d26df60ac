"""Lists of events, by what their indexes know."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from audit.models import AuditEvent
from kernel.errors import NotFound


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an event must be to be listed; empty fields say nothing.

    `actor` and `resource` are `<type>:<id>`, or the bare type of what has no id. `since` is
    included, `until` is not.
    """

    actor: str = ""
    action: str = ""
    resource: str = ""
    correlation_id: str = ""
    status: str = ""
    since: datetime | None = None
    until: datetime | None = None


EVERYTHING = Wanted()
_ACTIONS: Final = """
WITH RECURSIVE seen (action) AS (
    (SELECT action FROM audit_auditevent WHERE organization_id = %s ORDER BY action LIMIT 1)
    UNION ALL
    SELECT (
        SELECT event.action FROM audit_auditevent AS event
        WHERE event.organization_id = %s AND event.action > seen.action
        ORDER BY event.action LIMIT 1
    ) FROM seen WHERE seen.action IS NOT NULL
)
SELECT action FROM seen WHERE action IS NOT NULL
"""


def list_events(*, organization_id: UUID, wanted: Wanted = EVERYTHING) -> QuerySet[AuditEvent]:
    """An organization's events, newest first."""
    plain = {
        "action": wanted.action,
        "request_id": wanted.correlation_id,
        "status": wanted.status,
    }
    rows = AuditEvent.objects.filter(
        organization_id=organization_id,
        **{name: value for name, value in plain.items() if value},
        **parts("actor", wanted.actor),
        **parts("resource", wanted.resource),
    )
    if wanted.since:
        rows = rows.filter(occurred_at__gte=wanted.since)
    if wanted.until:
        rows = rows.filter(occurred_at__lt=wanted.until)
    return rows.order_by("-occurred_at", "-pk")


def get_event(*, organization_id: UUID, event_id: UUID) -> AuditEvent:
    """One event; raises NotFound."""
    event = AuditEvent.objects.filter(organization_id=organization_id, pk=event_id).first()
    if event is None:
        raise NotFound
    return event


def list_actions(*, organization_id: UUID) -> list[str]:
    """Every action that events of the organization have, in order: a step of the index for each.

    DISTINCT would read all of them.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ACTIONS, [organization_id, organization_id])
        return [action for (action,) in cursor.fetchall()]


def parts(name: str, value: str) -> dict[str, str]:
    """The columns that `<type>:<id>` means, for `actor` or `resource`; none for nothing."""
    kind, _, identifier = value.partition(":")
    return {f"{name}_type": kind, f"{name}_id": identifier} if value else {}
