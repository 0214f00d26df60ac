"""Events for tests."""

from typing import Any
from uuid import UUID

from accounts.models import Organization
from events import operations
from kernel import clock


def publish(
    organization: Organization, number: int = 1, *, user_id: UUID | None = None, **changes: Any
) -> None:
    """An event of `organization` that carries `number`."""
    operations.publish(
        organization_id=organization.pk,
        user_id=user_id,
        **{"type": "task.created", "data": {"number": number}, "now": clock.now(), **changes},
    )


def publish_now(organization: Organization, number: int = 1, **changes: Any) -> None:
    """The same, sent by a relay at once."""
    publish(organization, number, **changes)
    operations.relay_outbox(now=clock.now())
