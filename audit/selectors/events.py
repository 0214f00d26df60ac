"""Lists of events, by what their indexes know."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

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


def parts(name: str, value: str) -> dict[str, str]:
    """The columns that `<type>:<id>` means, for `actor` or `resource`; none for nothing."""
    kind, _, identifier = value.partition(":")
    return {f"{name}_type": kind, f"{name}_id": identifier} if value else {}
