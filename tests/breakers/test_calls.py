"""Calls that pass a breaker, and the moment when they do not."""

from datetime import datetime, timedelta

import pytest

from accounts.models import Organization
from breakers import selectors
from breakers.choices import BreakerState, Forced, Outcome
from breakers.clients import states
from breakers.errors import BreakerOpen
from breakers.models import CircuitBreaker
from breakers.operations import calls, standings, switches
from events.models import OutboxEvent
from kernel import clock, redis_client
from tests.breakers.factories import NAME, call, make_breaker, permit, switch

pytestmark = pytest.mark.django_db(transaction=True)
NOW = clock.now()


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def standing(organization: Organization, *, now: datetime = NOW) -> standings.Shown:
    breaker = selectors.get_breaker(organization_id=organization.pk, name=NAME)
    return standings.show(breakers=[breaker], now=now)[0]


def test_the_first_call_makes_the_breaker(organization: Organization) -> None:
    assert call(organization, now=NOW)

    breaker = CircuitBreaker.objects.get()
    assert (breaker.name, breaker.failure_threshold, breaker.organization) == (
        NAME,
        5,
        organization,
    )
    assert standing(organization).standing.total_successes == 1


def test_it_opens_at_the_threshold_and_says_how_long(organization: Organization) -> None:
    went = [call(organization, Outcome.FAILURE, now=at(n)) for n in range(6)]

    with pytest.raises(BreakerOpen) as refused:
        permit(organization, now=at(34))

    assert went == [True] * 5 + [False]
    assert refused.value.data == {"retry_after_seconds": 30, "breaker": NAME}
    assert OutboxEvent.objects.get().data == {"name": NAME, "from": "closed", "to": "open"}


def test_failures_out_of_the_window_do_not_count(organization: Organization) -> None:
    for n in range(8):
        assert call(organization, Outcome.FAILURE, now=at(31 * n))

    assert standing(organization, now=at(31 * 7)).standing.failure_count == 4


def test_successes_between_do_not_hide_failures(organization: Organization) -> None:
    for n in range(5):
        call(organization, Outcome.FAILURE, now=at(n))
        call(organization, Outcome.SUCCESS, now=at(n))

    shown = standing(organization, now=at(5))

    assert shown.state == BreakerState.OPEN
    assert (shown.success_rate, shown.standing.last_failure) == (
        round(4 / 9, 4),
        states._instant(states._milliseconds(at(4))),
    )


def test_half_open_lets_few_through_and_closes(organization: Organization) -> None:
    make_breaker(organization, now=NOW, failure_threshold=1, success_threshold=2)
    call(organization, Outcome.FAILURE, now=NOW)

    early = call(organization, now=at(59))
    trials = [permit(organization, now=at(60)) for _ in range(2)]
    with pytest.raises(BreakerOpen, match="Try again in 5 s") as refused:
        permit(organization, now=at(60))
    for trial in trials:
        calls.report(permit=trial, outcome=Outcome.SUCCESS, now=at(61))

    assert not early
    assert refused.value.data["retry_after_seconds"] == 5
    assert standing(organization, now=at(61)).state == BreakerState.CLOSED
    moves = [event.data["to"] for event in OutboxEvent.objects.order_by("pk")]
    assert moves == ["open", "closed"]


def test_the_call_that_closes_it_wakes_who_waits(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[tuple[object, ...]] = []
    monkeypatch.setattr(switches, "LET_THROUGH", [lambda *told: woken.append(told)])
    make_breaker(organization, now=NOW, failure_threshold=1, success_threshold=1)

    call(organization, Outcome.FAILURE, now=NOW)
    call(organization, now=at(60))
    call(organization, now=at(61))

    assert woken == [(organization.pk, NAME, at(60))]


def test_a_trial_that_fails_opens_it_again(organization: Organization) -> None:
    make_breaker(organization, now=NOW, failure_threshold=1)
    call(organization, Outcome.FAILURE, now=NOW)
    first, second = (permit(organization, now=at(60)) for _ in range(2))

    calls.report(permit=first, outcome=Outcome.FAILURE, now=at(61))
    calls.report(permit=second, outcome=Outcome.SUCCESS, now=at(62))

    assert standing(organization, now=at(62)).state == BreakerState.OPEN
    assert not call(organization, now=at(120))
    assert call(organization, now=at(121))


def test_a_trial_that_hangs_has_failed(organization: Organization) -> None:
    make_breaker(organization, now=NOW, failure_threshold=1, trial_timeout_seconds=10)
    call(organization, Outcome.FAILURE, now=NOW)
    hung = permit(organization, now=at(60))

    assert standing(organization, now=at(70)).state == BreakerState.OPEN
    calls.report(permit=hung, outcome=Outcome.SUCCESS, now=at(71))

    assert standing(organization, now=at(71)).state == BreakerState.OPEN
    # From when it should have ended, not from when somebody looked.
    assert standing(organization, now=at(130)).state == BreakerState.HALF_OPEN


def test_a_trial_that_was_given_up_frees_its_place(organization: Organization) -> None:
    make_breaker(organization, now=NOW, failure_threshold=1, success_threshold=1)
    call(organization, Outcome.FAILURE, now=NOW)
    trial = permit(organization, now=at(60))

    calls.report(permit=trial, outcome=Outcome.UNKNOWN, now=at(61))

    assert call(organization, now=at(61))
    assert standing(organization, now=at(61)).state == BreakerState.CLOSED


def test_calls_from_before_say_nothing_about_the_state_of_now(organization: Organization) -> None:
    make_breaker(organization, now=NOW, failure_threshold=1, success_threshold=1)
    late = permit(organization, now=NOW)
    call(organization, Outcome.FAILURE, now=NOW)
    call(organization, Outcome.SUCCESS, now=at(60))

    calls.report(permit=late, outcome=Outcome.FAILURE, now=at(61))

    assert standing(organization, now=at(61)).state == BreakerState.CLOSED
    assert standing(organization, now=at(61)).standing.total_failures == 2


def test_a_person_holds_it_open(organization: Organization) -> None:
    make_breaker(organization, now=NOW)
    switch(organization, switches.force, state=Forced.OPEN, now=NOW)

    with pytest.raises(BreakerOpen, match="Somebody holds") as refused:
        permit(organization, now=at(10_000_000))

    assert refused.value.data["retry_after_seconds"] == 60
    assert standing(organization).is_forced


def test_a_person_holds_it_closed_and_nothing_is_counted(organization: Organization) -> None:
    make_breaker(organization, now=NOW, failure_threshold=1)
    switch(organization, switches.force, state=Forced.CLOSED, now=NOW)

    went = [call(organization, Outcome.FAILURE, now=NOW) for _ in range(3)]

    assert went == [True] * 3
    assert standing(organization).standing.total_failures == 0


def test_a_reset_takes_everything_back(organization: Organization) -> None:
    make_breaker(organization, now=NOW, failure_threshold=1)
    pending = permit(organization, now=NOW)
    call(organization, Outcome.FAILURE, now=NOW)
    switch(organization, switches.force, state=Forced.OPEN, now=NOW)

    switch(organization, switches.reset, now=at(1))
    calls.report(permit=pending, outcome=Outcome.FAILURE, now=at(2))

    shown = standing(organization, now=at(2))
    assert (shown.state, shown.is_forced, shown.standing.total_failures) == (
        BreakerState.CLOSED,
        False,
        1,
    )


def test_what_a_person_said_outlives_an_empty_redis(organization: Organization) -> None:
    make_breaker(organization, now=NOW)
    switch(organization, switches.force, state=Forced.OPEN, now=NOW)

    redis_client.client().flushall()

    assert not call(organization, now=at(1))


def test_an_older_reader_does_not_undo_what_was_said(organization: Organization) -> None:
    old = make_breaker(organization, now=NOW)
    switch(organization, switches.force, state=Forced.OPEN, now=NOW)

    states.learn(breaker=old, now=at(1))

    assert not call(organization, now=at(1))


def test_a_row_that_redis_missed_counts_within_seconds(organization: Organization) -> None:
    breaker = make_breaker(organization, now=NOW)
    call(organization, now=NOW)
    CircuitBreaker.objects.filter(pk=breaker.pk).update(forced="open", revision=2)

    assert call(organization, now=at(4))
    assert not call(organization, now=at(6))


def test_what_a_person_does_while_redis_is_away_counts_when_it_is_back(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_breaker(organization, now=NOW, failure_threshold=1)
    call(organization, Outcome.FAILURE, now=NOW)
    with monkeypatch.context() as away:
        away.setattr(states._silence, "until", float("inf"))
        switch(organization, switches.reset, now=at(1))

    assert call(organization, now=at(6))
    assert standing(organization, now=at(6)).standing.total_failures == 0


def test_organizations_have_breakers_of_their_own(
    organization: Organization, other_organization: Organization
) -> None:
    make_breaker(organization, now=NOW, failure_threshold=1)
    call(organization, Outcome.FAILURE, now=NOW)

    assert not call(organization, now=at(1))
    assert call(other_organization, now=at(1))


def test_without_redis_calls_go_out_unless_a_person_forbade_it(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_breaker(organization, now=NOW, failure_threshold=1)
    make_breaker(organization, name="host:held", now=NOW)
    call(organization, Outcome.FAILURE, now=NOW)
    switch(organization, switches.force, name="host:held", state=Forced.OPEN, now=NOW)
    monkeypatch.setattr(states._silence, "until", float("inf"))

    assert call(organization, Outcome.FAILURE, now=at(1))
    assert not call(organization, name="host:held", now=at(1))
    assert not standing(organization, now=at(1)).is_counting
