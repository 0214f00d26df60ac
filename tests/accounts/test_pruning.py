"""Sessions that ended long ago are forgotten, and no others."""

from datetime import UTC, datetime, timedelta

import pytest

from accounts.choices import SessionKind
from accounts.models import Session, User
from accounts.operations import pruning
from accounts.tasks import prune_sessions

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def session(user: User, **values: object) -> Session:
    return Session.objects.create(
        organization=user.organization, user=user, **{"expires_at": NOW + DAY, **values}
    )


def test_what_ended_a_month_ago_goes(viewer: User) -> None:
    kept = [
        session(viewer),
        session(viewer, expires_at=NOW - 29 * DAY),
        session(viewer, revoked_at=NOW - 29 * DAY),
        session(viewer, kind=SessionKind.PENDING, expires_at=NOW - DAY / 2),
    ]
    session(viewer, expires_at=NOW - 31 * DAY)
    session(viewer, revoked_at=NOW - 31 * DAY)
    session(viewer, kind=SessionKind.PENDING, expires_at=NOW - 2 * DAY)

    assert pruning.prune_sessions(now=NOW) == 3
    assert set(Session.objects.all()) == set(kept)


def test_it_goes_on_after_a_batch(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "BATCH", 2)
    for _ in range(5):
        session(viewer, expires_at=NOW - 31 * DAY)

    assert pruning.prune_sessions(now=NOW) == 5


def test_the_job_prunes(viewer: User) -> None:
    session(viewer, expires_at=NOW - 9999 * DAY)

    prune_sessions()

    assert not Session.objects.exists()
