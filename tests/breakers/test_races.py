"""Many processes at one breaker."""

from collections import Counter
from datetime import timedelta

import pytest

from accounts.models import Organization
from breakers.choices import Outcome
from breakers.models import CircuitBreaker
from breakers.operations import calls
from events.models import OutboxEvent
from kernel import clock
from tests.breakers.factories import call, make_breaker, permit
from tests.threads import race

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 16


def test_no_more_trials_than_allowed_go_out_at_once(organization: Organization) -> None:
    make_breaker(organization, failure_threshold=1, success_threshold=3)
    call(organization, Outcome.FAILURE)
    later = clock.now() + timedelta(hours=1)

    outcomes = Counter(
        type(found).__name__ for found in race(*[lambda: permit(organization, now=later)] * MANY)
    )

    assert outcomes == {"Permit": 3, "BreakerOpen": MANY - 3}


def test_one_opening_is_announced_once(organization: Organization) -> None:
    make_breaker(organization, failure_threshold=5)
    now = clock.now()
    leaves = [permit(organization, now=now) for _ in range(MANY)]

    race(
        *[
            lambda leave=leave: calls.report(permit=leave, outcome=Outcome.FAILURE, now=now)
            for leave in leaves
        ]
    )

    assert OutboxEvent.objects.count() == 1
    assert not call(organization, now=now)


def test_first_calls_make_one_row(organization: Organization) -> None:
    outcomes = race(*[lambda: call(organization)] * 8)

    assert outcomes == [True] * 8
    assert CircuitBreaker.objects.count() == 1
