"""Questions about the rows of circuit breakers."""

from collections.abc import Collection
from uuid import UUID

from django.db.models import QuerySet

from audit.models import AuditEvent
from breakers.errors import BreakerNotFound
from breakers.models import CircuitBreaker


def list_breakers(*, organization_id: UUID) -> QuerySet[CircuitBreaker]:
    """The organization's breakers by name."""
    return CircuitBreaker.objects.filter(organization_id=organization_id).order_by("name", "pk")


def get_breaker(*, organization_id: UUID, name: str) -> CircuitBreaker:
    """One breaker; raises BreakerNotFound."""
    rows = CircuitBreaker.objects.filter(organization_id=organization_id, name=name)
    breaker = rows.first()
    if breaker is None:
        raise BreakerNotFound
    return breaker


def find_holders(*, organization_id: UUID, breaker_ids: Collection[UUID]) -> dict[str, AuditEvent]:
    """Who held each of the breakers last and when, by the breaker's id; one query, or none."""
    if not breaker_ids:
        return {}
    rows = AuditEvent.objects.filter(
        organization_id=organization_id,
        resource_type="breaker",
        resource_id__in=[str(pk) for pk in breaker_ids],
        action__in=("breaker.force_open", "breaker.force_close"),
    ).order_by("resource_id", "-occurred_at", "-id")
    return {row.resource_id: row for row in rows.distinct("resource_id")}
