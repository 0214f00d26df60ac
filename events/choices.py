"""Which events there are, and what a reader must hold to get each."""

from dataclasses import dataclass
from typing import Final

from kernel.permissions import ANYONE, Permission


@dataclass(frozen=True, slots=True)
class EventType:
    """One kind of event.

    `permission` is what a subscriber must hold. A `personal` event goes to one user only. A
    `live` one is never stored: whoever is not connected misses it.
    """

    name: str
    permission: str
    personal: bool = False
    live: bool = False


_types: Final[dict[str, EventType]] = {}


def register(*types: EventType) -> None:
    """Add event types; apps above call this in `AppConfig.ready`. Raises ValueError for a twin."""
    for kind in types:
        if _types.setdefault(kind.name, kind) != kind:
            raise ValueError(f"The event type {kind.name} is already registered differently.")


def get_type(name: str) -> EventType:
    """The type called `name`; raises ValueError, because only code names types here."""
    if name not in _types:
        raise ValueError(f"{name} is not an event type. Register it in AppConfig.ready.")
    return _types[name]


def list_types() -> tuple[EventType, ...]:
    """Every registered type, ordered by name."""
    return tuple(sorted(_types.values(), key=lambda kind: kind.name))


register(
    # Contract 003 B27.
    EventType("agent.status", "agent.read"),
    EventType("task.created", "task.read"),
    EventType("task.updated", "task.read"),
    EventType("task.completed", "task.read"),
    EventType("task.failed", "task.read"),
    EventType("worker.online", "event.read"),
    EventType("worker.offline", "event.read"),
    EventType("message.new", "event.read"),
    EventType("notification", ANYONE, personal=True),
    EventType("system.alert", "event.read"),
    # A run as it happens; its message log keeps what lasts.
    EventType("task.output", "task.read", live=True),
    EventType("task.turn", "task.read", live=True),
    EventType("task.tool_call", "task.read", live=True),
    EventType("task.tool_result", "task.read", live=True),
)


PERMISSIONS: Final = (
    Permission("event.read", "Observability", "Subscribe to events.", reads=True),
)
