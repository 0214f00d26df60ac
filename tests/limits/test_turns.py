"""Turns of model calls under the minute's limits."""

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import Organization
from kernel import clock, redis_client
from limits.clients import rates
from limits.errors import RateReached
from limits.models import LimitRule
from limits.operations import standings, turns
from tests.limits.factories import KEY, change_limit, delete_limit, make_limit, take
from tests.threads import race

pytestmark = pytest.mark.django_db(transaction=True)
NOW = clock.now()
AFTER = ("keep", "less", "back")


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def used(rule: LimitRule, *, now: datetime = NOW) -> tuple[int | None, int | None]:
    (shown,) = standings.show(rules=[rule], now=now)
    return shown.requests, shown.tokens


def test_calls_without_a_rule_are_not_counted(organization: Organization) -> None:
    make_limit(organization, max_concurrent=1)

    turn = take(organization, ("key", KEY), ("provider", "openai"), ("key", ""))

    assert turn == turns.Turn(organization.pk)
    assert not redis_client.client().keys("hub:rate:*")


def test_the_call_after_the_last_waits_until_the_first_is_a_minute_old(
    organization: Organization,
) -> None:
    rule = make_limit(organization, requests_per_minute=2)
    for seconds in (0, 10):
        assert take(organization, now=at(seconds)).wait_seconds == 0

    with pytest.raises(RateReached) as refused:
        take(organization, now=at(20))
    turn = take(organization, now=at(57))

    assert refused.value.data == {"rule_id": str(rule.pk), "retry_after_seconds": 40.0}
    assert refused.value.detail == (
        "The limit of key customer-1 for one minute is used up. Try again in 40 s, or raise it."
    )
    assert turn.wait_seconds == 3
    # Two of the three are booked in the minute that begins now; the next one's turn is after both.
    assert take(organization, now=at(65)).wait_seconds == 5


def test_tokens_are_held_and_settled(organization: Organization) -> None:
    rule = make_limit(organization, tokens_per_minute=1000)
    first = take(organization, tokens=900, now=NOW)

    with pytest.raises(RateReached):
        take(organization, tokens=200, now=at(1))
    turns.settle(turn=first, tokens=300, now=at(2))

    assert used(rule) == (1, 300)
    assert take(organization, tokens=700, now=at(3)).wait_seconds == 0
    assert used(rule, now=at(61)) == (1, 700)


def test_a_call_that_is_larger_than_the_limit_has_its_turn_alone(
    organization: Organization,
) -> None:
    make_limit(organization, tokens_per_minute=100)

    assert take(organization, tokens=5000, now=NOW).wait_seconds == 0
    with pytest.raises(RateReached):
        take(organization, tokens=1, now=at(50))
    assert take(organization, tokens=5000, now=at(60)).wait_seconds == 0


def test_a_call_that_did_not_go_out_counts_no_more(organization: Organization) -> None:
    rule = make_limit(organization, requests_per_minute=1, tokens_per_minute=10)

    turns.give_back(turn=take(organization, tokens=10, now=NOW), now=NOW)

    assert used(rule) == (0, 0)
    assert take(organization, tokens=10, now=at(1)).wait_seconds == 0


def test_a_call_is_booked_in_all_its_buckets_or_in_none(organization: Organization) -> None:
    wide = make_limit(organization, scope="provider", name="openai", requests_per_minute=5)
    narrow = make_limit(organization, requests_per_minute=1)
    both = (("provider", "openai"), ("key", KEY))
    take(organization, *both, now=NOW)

    with pytest.raises(RateReached) as refused:
        take(organization, *both, now=at(1))

    assert refused.value.data["rule_id"] == str(narrow.pk)
    assert (used(wide), used(narrow)) == ((1, 0), (1, 0))


def test_each_name_and_each_organization_has_a_minute_of_its_own(
    organization: Organization, other_organization: Organization
) -> None:
    rule = make_limit(organization, name="*", requests_per_minute=1)
    make_limit(other_organization, name="*", requests_per_minute=1)
    for each in (organization, other_organization):
        for name in ("a", "b"):
            assert take(each, ("key", name), now=NOW).wait_seconds == 0
        with pytest.raises(RateReached):
            take(each, ("key", "a"), now=NOW)

    assert used(rule) == (None, None)


def test_a_raised_limit_counts_at_once(organization: Organization) -> None:
    rule = make_limit(organization, requests_per_minute=1)
    take(organization, now=NOW)

    change_limit(rule, requests_per_minute=2)

    assert take(organization, now=NOW).wait_seconds == 0


def test_without_redis_calls_go_out(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = make_limit(organization, requests_per_minute=1)
    turn = take(organization, now=NOW)
    monkeypatch.setattr(rates._silence, "until", float("inf"))

    turns.settle(turn=turn, tokens=1, now=NOW)
    turns.give_back(turn=turn, now=NOW)
    (shown,) = standings.show(rules=[rule], now=NOW)

    assert take(organization, now=NOW) == turns.Turn(organization.pk)
    assert (shown.is_counting, shown.requests, shown.tokens) == (False, None, None)


def test_no_more_than_the_limit_go_out_at_once(organization: Organization) -> None:
    make_limit(organization, requests_per_minute=5)

    found = race(*[lambda: take(organization, now=NOW)] * 12)

    assert sorted(type(each).__name__ for each in found) == ["RateReached"] * 7 + ["Turn"] * 5


@settings(max_examples=60, deadline=None)
@given(
    calls=st.lists(
        st.tuples(
            st.integers(0, 25), st.integers(0, 12), st.sampled_from(["keep", "less", "back"])
        ),
        max_size=25,
    ),
    requests=st.integers(1, 4),
    tokens=st.integers(1, 20),
)
def test_no_minute_holds_more_than_the_limit(
    calls: list[tuple[int, int, str]], requests: int, tokens: int
) -> None:
    organization_id, bucket = uuid4(), ("key", "k")
    rule = LimitRule(requests_per_minute=requests, tokens_per_minute=tokens)
    scope: dict[str, Any] = {"organization_id": organization_id}
    seconds, booked = 0.0, []

    for number, (pause, needed, after) in enumerate(calls):
        seconds += pause
        call, now = f"call-{number}", at(seconds)
        asked: dict[str, Any] = {
            "rules": [(bucket, rule)],
            "tokens": needed,
            "patience_seconds": 30.0,
        }
        answer = rates.take(call=call, now=now, **asked, **scope)
        if not answer.is_booked:
            continue
        one: dict[str, Any] = {"call": call, "buckets": [bucket], "now": now, **scope}
        if after == "back":
            rates.give_back(**one)
            continue
        if after == "less":
            rates.settle(tokens=min(needed, tokens) // 2, **one)
        held = min(needed, tokens) if after == "keep" else min(needed, tokens) // 2
        booked.append((seconds + answer.wait_seconds, held))

    for end, _ in booked:
        minute = [held for turn, held in booked if end - 60 + 0.002 < turn <= end + 0.002]
        assert len(minute) <= requests
        assert sum(minute) <= tokens


def test_a_rule_counts_in_every_process_from_its_commit_on(organization: Organization) -> None:
    """Another process has the same memory of before, and the same Redis."""
    take(organization)
    elsewhere = dict(turns._memory._known)
    rule = make_limit(organization, requests_per_minute=1)
    turns._memory._known.update(elsewhere)
    counted = take(organization)
    elsewhere = dict(turns._memory._known)
    delete_limit(rule)
    turns._memory._known.update(elsewhere)

    assert counted.buckets == (("key", KEY),)
    assert take(organization) == turns.Turn(organization.pk)


def test_a_name_s_own_rule_takes_it_out_of_the_rule_for_all(organization: Organization) -> None:
    make_limit(organization, name="*", requests_per_minute=1)
    make_limit(organization, name=KEY, max_concurrent=1)

    assert take(organization) == turns.Turn(organization.pk)
    assert take(organization, ("key", "other")).buckets == (("key", "other"),)
