"""One clock for all hosts: the database's."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from kernel import clock


@pytest.fixture(autouse=True)
def _uncorrected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_correction", clock._Correction())


def test_a_clock_that_was_not_told_better_is_the_machines() -> None:
    with time_machine.travel(datetime(2026, 11, 22, 6, tzinfo=UTC), tick=False):
        assert clock.now() == datetime(2026, 11, 22, 6, tzinfo=UTC)


@pytest.mark.django_db
@pytest.mark.parametrize("wrong_by", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_clock_that_is_wrong_goes_by_the_databases(wrong_by: timedelta) -> None:
    right = datetime.now(UTC)

    with time_machine.travel(right + wrong_by, tick=True):
        read = clock.synchronise()
        now = clock.now()

    # Whole minutes: how long a slow machine took for these lines is not the question.
    assert abs(read - right) < timedelta(minutes=1)
    assert abs(now - right) < timedelta(minutes=1)


@pytest.mark.django_db
def test_an_answer_that_took_long_corrects_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "PROMPT_SECONDS", 0)
    right = datetime.now(UTC)
    wrong = right + timedelta(hours=1)

    with time_machine.travel(wrong, tick=False):
        read = clock.synchronise()
        now = clock.now()

    assert abs(read - right) < timedelta(minutes=1)
    assert now == wrong


@pytest.mark.django_db
def test_the_database_is_not_asked_for_each_doorbell(
    django_assert_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with django_assert_num_queries(1):
        clock.synchronise()
        clock.synchronise()
    monkeypatch.setattr(clock, "KEPT_SECONDS", 0)

    with django_assert_num_queries(1):
        clock.synchronise()
