"""The register of event types."""

import pytest

from events import choices
from events.choices import EventType
from events.clients import channel


def test_a_type_may_be_registered_twice_alike_but_not_differently() -> None:
    choices.register(EventType("task.created", "task.read"))

    with pytest.raises(ValueError, match=r"task\.created"):
        choices.register(EventType("task.created", "agent.read"))

    assert choices.get_type("task.created").permission == "task.read"


def test_the_contracts_types_are_registered() -> None:
    stored = {kind.name for kind in choices.list_types() if not kind.live}

    assert stored >= {
        *("agent.status", "task.created", "task.updated", "task.completed", "task.failed"),
        *("worker.online", "worker.offline", "message.new", "notification", "system.alert"),
    }


@pytest.mark.parametrize(
    "message",
    [b"", b"{}", b"[1,2]", b'["no-uuid",null,"task.created",{},1]', b'[1,null,"a",{},1]'],
)
def test_what_is_not_an_envelope_is_refused(message: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - orjson's, UUID's and ours
        channel.decode(message)
