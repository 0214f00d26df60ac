"""Claims under limits of what runs at once."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Organization, User
from agents.models import Agent
from agents.operations import registry
from agents.runtime import failures
from kernel import clock
from limits.models import LimitRule
from tasks.models import Task
from tasks.operations import claims, concurrency, endings, sweeps
from tasks.selectors.explanations import explain_task
from tasks.selectors.leased import count_leased
from tests.accounts.factories import make_organization
from tests.agents.factories import PERSON, answered, failed, make_agent, make_override
from tests.clients import ApiClient
from tests.hub.console_rows import address
from tests.limits.factories import change_limit, delete_limit, make_limit
from tests.tasks.factories import LEASE, change, claim_all, claim_one, make_task
from tests.threads import race

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def home(transactional_db: None) -> Organization:
    """An organization that other threads see."""
    return make_organization()


@pytest.fixture
def agent(home: Organization) -> Agent:
    """A started agent with many slots."""
    return make_agent(home, max_concurrent_tasks=50)


def make_keyed(home: Organization, agent: Agent, keys: str, **values: Any) -> list[Task]:
    """A task for each letter, which is its key; a space is none."""
    return [make_task(home, agent=agent, concurrency_key=key.strip(), **values) for key in keys]


def keys_of(found: list[Any]) -> str:
    """The keys of claimed tasks, a dash for none."""
    tasks = Task.objects.in_bulk([claim.task_id for claim in found])
    return "".join(tasks[claim.task_id].concurrency_key or "-" for claim in found)


def settle(claim: Any) -> None:
    endings.settle_attempt(claim=claim, result=answered(), now=clock.now())


def test_a_key_has_no_more_places_than_its_limit(home: Organization, agent: Agent) -> None:
    make_limit(home, name="a", max_concurrent=2)
    make_keyed(home, agent, "aaaa  b")

    first = claim_all()
    again = claim_all()
    settle(first[0])

    assert keys_of(first) == "aa--b"
    assert again == []
    assert keys_of(claim_all()) == "a"


def test_what_is_full_does_not_starve_what_waits_behind_it(
    home: Organization, agent: Agent
) -> None:
    make_limit(home, name="*", max_concurrent=1)
    make_keyed(home, agent, "a" * 30, priority="critical")
    make_keyed(home, agent, "b" * 30, priority="high")
    make_keyed(home, agent, "c   ", priority="low")

    found = [keys_of(claim_all(limit=2)) for _ in range(4)]

    assert found == ["ab", "c-", "--", ""]


def test_a_rule_of_its_own_goes_before_the_one_for_each(home: Organization, agent: Agent) -> None:
    make_limit(home, name="*", max_concurrent=1)
    make_limit(home, name="a", max_concurrent=3)
    make_limit(home, name="b", requests_per_minute=9)
    make_keyed(home, agent, "aaaabbbbcccc")

    assert Counter(keys_of(claim_all())) == {"a": 3, "b": 4, "c": 1}


def test_a_key_is_counted_over_all_agents(home: Organization, agent: Agent) -> None:
    make_limit(home, name="a", max_concurrent=3)
    for _ in range(2):
        make_keyed(home, make_agent(home, max_concurrent_tasks=9), "aa")

    assert len(claim_all()) == 3


def test_an_agent_and_a_provider_have_limits(home: Organization, agent: Agent) -> None:
    make_limit(home, scope="agent", name=str(agent.pk), max_concurrent=1)
    make_limit(home, scope="provider", name="openai", max_concurrent=2)
    others = [make_agent(home, llm_provider="openai", max_concurrent_tasks=9) for _ in range(2)]
    for each in (agent, *others):
        make_keyed(home, each, "  ")

    found = Counter(claim.agent_id == agent.pk for claim in claim_all())

    assert found == {True: 1, False: 2}
    assert claim_all() == []


def test_an_override_decides_on_the_provider(home: Organization, agent: Agent) -> None:
    make_limit(home, scope="provider", name="openai", max_concurrent=1)
    make_override(home, agent.name, provider="openai")
    make_keyed(home, agent, "   ")

    assert len(claim_all()) == 1
    assert claim_all() == []


def test_organizations_do_not_count_for_each_other(
    home: Organization, agent: Agent, other_organization: Organization
) -> None:
    make_limit(home, name="a", max_concurrent=1)
    make_keyed(home, agent, "aa")
    make_keyed(other_organization, make_agent(other_organization, max_concurrent_tasks=9), "aaa")

    found = Counter(claim.organization_id for claim in claim_all())

    assert found == {home.pk: 1, other_organization.pk: 3}


def test_a_lost_worker_gives_its_place_back(home: Organization, agent: Agent) -> None:
    make_limit(home, name="a", max_concurrent=1)
    make_keyed(home, agent, "aa")
    claim_all()

    sweeps.sweep_tasks(now=clock.now() + 2 * LEASE)

    assert keys_of(claim_all(now=clock.now() + 2 * LEASE)) == "a"


def test_work_by_hand_takes_no_place(home: Organization, agent: Agent) -> None:
    make_limit(home, name="a", max_concurrent=1)
    by_hand, _ = make_keyed(home, agent, "aa")
    change(by_hand, status="in_progress")

    assert keys_of(claim_all()) == "a"


def test_a_raised_limit_and_a_deleted_one_let_more_run(home: Organization, agent: Agent) -> None:
    rule = make_limit(home, name="a", max_concurrent=1)
    make_keyed(home, agent, "aaaa")
    found = [len(claim_all())]

    change_limit(rule, max_concurrent=2)
    found.append(len(claim_all()))
    delete_limit(rule)
    found.append(len(claim_all()))

    assert found == [1, 1, 2]


def test_limits_hold_among_claimers(home: Organization, agent: Agent) -> None:
    make_limit(home, name="*", max_concurrent=2)
    agents = [agent, *(make_agent(home, max_concurrent_tasks=9) for _ in range(3))]
    for each in agents:
        make_keyed(home, each, "aaab")

    outcomes = race(*[partial(claim_all, limit=3)] * 4)

    at_once = keys_of([claim for batch in outcomes for claim in batch])
    assert at_once.count("a") <= 2
    assert at_once.count("b") <= 2
    assert Counter(at_once + keys_of(claim_all())) == {"a": 2, "b": 2}


def test_what_is_most_urgent_goes_first_whoever_limits(home: Organization, agent: Agent) -> None:
    make_limit(home, name="a", max_concurrent=1)
    make_keyed(home, agent, "aa")
    other = make_organization()
    elsewhere = make_agent(other, max_concurrent_tasks=9)
    make_task(other, agent=elsewhere, priority="low")
    urgent = make_task(other, agent=elsewhere, priority="critical")

    found = claim_all(limit=2)

    assert (found[0].task_id, keys_of(found)) == (urgent.pk, "-a")


def test_a_task_counts_for_the_provider_of_its_own_version(
    home: Organization, agent: Agent
) -> None:
    pinned = agent.current_version
    registry.update_agent(
        organization_id=home.pk,
        agent_id=agent.pk,
        values={"llm_provider": "openai"},
        actor=PERSON,
        now=clock.now(),
    )
    rule = make_limit(home, scope="provider", name="demo", max_concurrent=1)
    tasks = [make_task(home, agent=agent, pinned_version=pinned) for _ in range(3)]
    other = make_task(home, agent=agent)

    found = [claim.task_id for claim in claim_all()]

    assert (len(found), other.pk in found) == (2, True)
    (waiting, *_) = [task for task in tasks if task.pk not in found]
    (reason,) = explain_task(task=waiting, now=clock.now()).reasons
    assert (reason.code, reason.id) == ("concurrency_limit", rule.pk)


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return bool(cursor.fetchone()[0])


def test_two_claims_for_different_agents_would_both_take_the_last_place(
    home: Organization, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the lock is for: who has counted first lets the other count too before it writes."""
    rule = make_limit(home, name="a", max_concurrent=2)
    for each in (agent, make_agent(home)):
        make_keyed(home, each, "a")
    asked = concurrency.ask(limit=9, now=clock.now())
    change_limit(rule, max_concurrent=1)
    looks, counts, pause = iter(asked), count(1), threading.Event()

    def count_both(organization_id: UUID) -> Any:
        found = count_leased(organization_id)
        if next(counts) == 2:
            pause.set()
        left = 1000
        while left and not (pause.wait(0.01) or somebody_waits_for_a_lock()):
            left -= 1
        return found

    monkeypatch.setattr(concurrency, "ask", lambda **_: [next(looks)])
    monkeypatch.setattr(concurrency, "count_leased", count_both)

    outcomes = race(claim_all, claim_all)

    assert sum(map(len, outcomes)) == 1


def test_a_rule_that_somebody_holds_is_passed_over(home: Organization, agent: Agent) -> None:
    make_limit(home, name="a", max_concurrent=5)
    make_keyed(home, agent, "a ")
    asked = concurrency.ask(limit=9, now=clock.now())
    rules = dict.fromkeys([(home.pk, ("key", "a"))])

    fitting = concurrency.fit(asked=asked, rules=rules, agents={agent.pk: agent})

    assert [each.key for each in fitting] == [""]


def test_a_provider_that_changed_meanwhile_is_left_to_the_next_claim(
    home: Organization, agent: Agent
) -> None:
    make_limit(home, scope="provider", name="demo", max_concurrent=5)
    make_keyed(home, agent, " ")
    asked = concurrency.ask(limit=9, now=clock.now())
    rules = {(home.pk, ("provider", "demo")): LimitRule.objects.get()}
    make_override(home, agent.name, provider="openai")

    assert concurrency.fit(asked=asked, rules=rules, agents={agent.pk: agent}) == []
    assert len(claim_all()) == 1


def test_whether_anything_is_claimable_knows_of_limits(home: Organization, agent: Agent) -> None:
    make_limit(home, name="a", max_concurrent=1)
    make_keyed(home, agent, "aa")
    before = claims.is_claimable_waiting(now=clock.now())
    claim_one(Task.objects.earliest("created_at"))

    assert (before, claims.is_claimable_waiting(now=clock.now())) == (True, False)


def test_explain_goes_by_the_provider_of_an_override(home: Organization, agent: Agent) -> None:
    rule = make_limit(home, scope="provider", name="openai", max_concurrent=1)
    make_override(home, agent.name, provider="openai")
    first, second = make_keyed(home, agent, "  ")
    claim_one(first)

    (reason,) = explain_task(task=second, now=clock.now()).reasons

    assert (reason.code, reason.id) == ("concurrency_limit", rule.pk)


def test_explain_names_the_limit_that_is_full(
    api: Callable[[User | None], ApiClient], admin: User
) -> None:
    agent = make_agent(admin.organization, max_concurrent_tasks=50)
    rule = make_limit(admin.organization, name="a", max_concurrent=1)
    make_keyed(admin.organization, agent, "aab")
    claim_all()
    client = api(admin)

    (waiting,) = client.get("/api/v1/tasks?concurrency_key=a&status_filter=assigned").json()[
        "items"
    ]
    body = client.get(f"/api/v1/tasks/{waiting['id']}/explain").json()

    (reason,) = body["reasons"]
    assert (waiting["concurrency_key"], reason["code"]) == ("a", "concurrency_limit")
    assert reason["message"] == "Key a has 1 of 1 tasks at once."
    assert reason["link"] == f"/api/v1/limits/{rule.pk}"
    assert reason["console_link"] == address(LimitRule, rule.pk)


@pytest.mark.parametrize("way", ["raised", "deleted", "lowered"])
def test_a_task_put_off_by_a_rate_loses_no_retry_and_is_woken(
    api: Callable[[User | None], ApiClient], admin: User, way: str
) -> None:
    agent = make_agent(admin.organization)
    rule = make_limit(admin.organization, name="a", requests_per_minute=5)
    claim = claim_one(make_keyed(admin.organization, agent, "a", max_retries=0)[0])
    refusal = failures.rate_limit("It is used up.", seconds=40, rule_id=rule.pk)
    result = replace(failed(), error=refusal)
    task = endings.settle_attempt(claim=claim, result=result, now=clock.now())
    place = f"/api/v1/tasks/{task.pk}"
    (reason,) = api(admin).get(f"{place}/explain").json()["reasons"]

    if way == "deleted":
        delete_limit(rule)
    else:
        change_limit(rule, requests_per_minute=9 if way == "raised" else 2)

    assert (reason["code"], reason["message"]) == ("rate_limit", "It is used up.")
    assert reason["link"] == f"/api/v1/limits/{rule.pk}"
    assert reason["until"] is not None
    assert (task.status, task.retry_count) == ("assigned", 0)
    assert bool(claim_all()) is (way != "lowered")


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    waiting=st.lists(st.tuples(st.sampled_from("ab "), st.integers(0, 1)), max_size=8),
    limits=st.dictionaries(st.sampled_from("ab*"), st.integers(1, 3), min_size=1),
    by_agent=st.integers(1, 4),
    batch=st.integers(1, 8),
)
def test_claims_and_a_plain_model_agree(
    transactional_db: None,
    waiting: list[tuple[str, int]],
    limits: dict[str, int],
    by_agent: int,
    batch: int,
) -> None:
    home = make_organization()  # what is left of the ones before has no place any more
    agents = [make_agent(home, max_concurrent_tasks=by_agent) for _ in range(2)]
    for name, most in limits.items():
        make_limit(home, name=name, max_concurrent=most)
    for key, number in waiting:
        make_keyed(home, agents[number], key)

    taken: Counter[Any] = Counter()
    while found := claim_all(limit=batch):
        assert len(found) <= batch
        for claim, key in zip(found, keys_of(found), strict=True):
            taken[claim.agent_id] += 1
            taken[key] += 1

    def room(key: str) -> int:
        return 99 if key == "-" else limits.get(key, limits.get("*", 99)) - taken[key]

    assert all(taken[agent.pk] <= by_agent for agent in agents)
    assert all(room(key) >= 0 for key in "ab")
    for task in Task.objects.filter(organization=home, status="assigned"):
        has_place = room(task.concurrency_key or "-") > 0
        assert not (has_place and taken[task.agent_id] < by_agent)
