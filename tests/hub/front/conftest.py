"""Fixtures of the tests of the front."""

from collections.abc import Callable, Iterator

import pytest

from accounts.models import Organization
from audit.models import AuditChain
from hub.front import app, exports, listener, switchboard, watches
from tests.accounts import factories
from tests.audit.factories import record, seal
from tests.events.conftest import mortal_redis
from tests.hub.front import peer
from tests.hub.front.peer import Front
from tests.hub.front.taking import ROWS, TEXT

__all__ = ["front", "hasty", "mortal_redis"]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A front that waits for less long, so that nobody waits for the tests."""
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


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> exports.AuditExports:
    """The exports of the front that is asked for after it."""
    found = exports.AuditExports()
    monkeypatch.setattr("hub.front.app.AuditExports", lambda: found)
    return found


@pytest.fixture
def chain(organization: Organization) -> AuditChain:
    """A chain of some megabytes."""
    for number in range(ROWS):
        record(organization.pk, resource_id=number, details={"text": TEXT})
    seal()
    return AuditChain.objects.get(pk=organization.pk)
