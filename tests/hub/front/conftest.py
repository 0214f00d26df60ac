"""Fixtures of the tests of the front."""

from collections.abc import Callable, Iterator

import pytest

from hub.front import app, listener, sockets, switchboard, watches
from tests.accounts import factories
from tests.events.conftest import mortal_redis
from tests.hub.front import peer
from tests.hub.front.peer import Front

__all__ = ["front", "hasty", "mortal_redis"]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A front that waits for less long, so that nobody waits for the tests."""
    monkeypatch.setattr(sockets, "AUTH_SECONDS", 0.5)
    monkeypatch.setattr(switchboard, "RECHECK_SECONDS", 0.1)
    monkeypatch.setattr(watches, "LOOK_SECONDS", 0.3)
    monkeypatch.setattr(listener, "SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(listener, "RECONNECT_SECONDS", 0.1)
    monkeypatch.setattr(app, "RESTART_SECONDS", 0.1)


@pytest.fixture
def front(transactional_db: None, hasty: None) -> Iterator[Front]:
    """A running front."""
    with peer.running() as running:
        yield running


@pytest.fixture
def withdraw() -> Callable[[str], None]:
    """`withdraw(permission)` takes a permission from every role."""
    return factories.withdraw
