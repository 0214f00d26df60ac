"""Recorded events for tests."""

from datetime import datetime
from typing import Any
from uuid import UUID

from audit import operations
from audit.models import AuditEvent
from kernel import clock
from kernel.actors import Actor


def record(organization_id: UUID | None, *, now: datetime | None = None, **more: Any) -> AuditEvent:
    """One event of Ada's, as it is stored."""
    values: dict[str, Any] = {
        "actor": Actor(
            type="user", id=str(UUID(int=1)), label="Ada", ip_address="10.0.0.1", request_id="r"
        ),
        "action": "task.create",
        "resource_type": "task",
        "resource_id": "t",
        "details": {
            "title": "ü",
            "ratio": 0.1,
            "tiny": 1e-7,
            "big": 2**62,
            "huge": 1e16,
            "odd": '\u2028\x1f"',
        },
        "now": now or clock.now(),
    }
    operations.record(organization_id=organization_id, **{**values, **more})
    return AuditEvent.objects.latest("pk")


def seal(*, now: datetime | None = None) -> int:
    """Seal what waits."""
    return operations.seal_events(now=now or clock.now())
