"""Questions about the rows of circuit breakers."""

from uuid import UUID

from django.db.models import QuerySet

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
