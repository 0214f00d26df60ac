"""A run and the budgets: what it may cost is held before each call, and what it did is booked."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Organization, User
from agents.models import Agent
from agents.operations import model_turns, registry
from cost.models import Budget, Reservation, UsageRecord
from cost.operations import budgets
from kernel import clock
from kernel.actors import SYSTEM
from tasks.choices import TaskStatus
from tasks.models import Task
from tasks.operations import endings
from tests.agents.factories import make_agent
from tests.clients import ApiClient
from tests.cost.factories import change_budget
from tests.peers.model_server import ModelPeer
from tests.peers.script import Answer, Broken, Refusal, Step
from tests.tasks import factories
from tests.tasks.scripted import Killed, answering, claim_again, finish, kill_at, run

pytestmark = pytest.mark.django_db(transaction=True)


def respond(body: Mapping[str, Any]) -> Step:
    if "refused" in str(body["messages"]):
        return Refusal(status=500)
    if "broken" in str(body["messages"]):
        return Broken()
    return Answer(text="Done.", input_tokens=1000, output_tokens=100)


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelPeer]:
    with answering(monkeypatch, respond) as model:
        yield model


@pytest.fixture
def agent(organization: Organization) -> Agent:
    return make_agent(organization, llm_provider="openai", llm_model="gpt-4o", max_tokens=1000)


@pytest.fixture
def task(agent: Agent, peer: ModelPeer) -> Task:
    return factories.make_task(agent.organization, agent=agent)


def limit(organization: Organization, usd: str, **values: Any) -> Budget:
    """A hard budget of the organization's day."""
    asked = {"scope": "organization", "period": "day", **values}
    return budgets.create_budget(
        organization_id=organization.pk,
        limit_usd=Decimal(usd),
        is_hard=True,
        actor=SYSTEM,
        now=clock.now(),
        **asked,
    )


def test_a_run_that_has_no_money_waits_and_loses_no_retry(
    organization: Organization, task: Task, peer: ModelPeer, admin: User
) -> None:
    budget = limit(organization, "0.0001")

    waiting = finish(factories.claim_one(task))
    shown = ApiClient(admin).get(f"/api/v1/tasks/{task.pk}/explain").json()

    midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert (waiting.status, waiting.error_kind) == (TaskStatus.ASSIGNED, "budget_exhausted")
    assert waiting.retry_count == 0
    again = min(midnight, waiting.updated_at + timedelta(hours=1))
    assert timedelta() <= waiting.available_at - again <= timedelta(seconds=6)
    assert peer.requests == []
    (reason,) = shown["reasons"]
    assert (reason["code"], reason["link"]) == ("budget_exhausted", f"/api/v1/budgets/{budget.pk}")
    assert reason["until"] == midnight.isoformat().replace("+00:00", "Z")
    assert waiting.attempts.get().outcome == "postponed"


def test_who_waits_for_a_budget_of_all_time_is_told_no_hour(
    organization: Organization, task: Task, admin: User
) -> None:
    limit(organization, "0.0001", period="total")

    finish(factories.claim_one(task))

    (reason,) = ApiClient(admin).get(f"/api/v1/tasks/{task.pk}/explain").json()["reasons"]
    assert (reason["code"], reason["until"]) == ("budget_exhausted", None)


def test_a_model_without_a_price_waits_for_that(
    organization: Organization, peer: ModelPeer, admin: User
) -> None:
    limit(organization, "10")
    agent = make_agent(organization, llm_provider="openai", llm_model="homegrown", max_tokens=10)
    task = factories.make_task(organization, agent=agent)
    client = ApiClient(admin)

    waiting = finish(factories.claim_one(task))
    (reason,) = client.get(f"/api/v1/tasks/{task.pk}/explain").json()["reasons"]
    price = {"provider": "openai", "model": "homegrown", "input_usd": "1", "output_usd": "1"}
    assert client.post("/api/v1/prices", price).status_code == 201
    done = finish(factories.claim_one(task))

    assert (waiting.status, waiting.error_kind) == (TaskStatus.ASSIGNED, "cost_unpriced")
    assert (waiting.retry_count, waiting.attempts.count()) == (0, 2)
    assert (reason["code"], reason["until"], reason["link"]) == (
        "cost_unpriced",
        None,
        "/api/v1/prices",
    )
    assert "Set its price (POST /api/v1/prices)" in reason["message"]
    assert done.status == TaskStatus.COMPLETED


def test_a_budget_raised_while_the_run_is_put_off_is_looked_at_within_the_hour(
    organization: Organization, task: Task
) -> None:
    """Who raises it finds nobody to wake: the task is still in progress."""
    budget = limit(organization, "0.0001", period="month")
    claim = factories.claim_one(task)
    result = run(claim)
    change_budget(budget, now=clock.now(), limit_usd=Decimal(1))

    endings.settle_attempt(claim=claim, result=result, now=clock.now())

    task.refresh_from_db()
    assert (task.status, task.error_kind) == (TaskStatus.ASSIGNED, "budget_exhausted")
    assert task.available_at - task.updated_at <= timedelta(hours=1, seconds=6)


def test_whoever_raises_the_budget_wakes_the_run(organization: Organization, task: Task) -> None:
    budget = limit(organization, "0.0001")
    finish(factories.claim_one(task))

    change_budget(budget, now=clock.now(), limit_usd=Decimal(1))

    done = finish(factories.claim_one(task))
    assert (done.status, Reservation.objects.count()) == (TaskStatus.COMPLETED, 0)


def test_the_agents_own_daily_limit_is_a_budget(
    organization: Organization, peer: ModelPeer, admin: User
) -> None:
    agent = make_agent(
        organization, llm_provider="openai", llm_model="gpt-4o", daily_budget_usd=Decimal("0.0001")
    )
    waiting = finish(factories.claim_one(factories.make_task(organization, agent=agent)))

    (reason,) = ApiClient(admin).get(f"/api/v1/tasks/{waiting.pk}/explain").json()["reasons"]
    (shown,) = ApiClient(admin).get("/api/v1/budgets?source=version").json()["items"]
    assert (waiting.error_kind, peer.requests) == ("budget_exhausted", [])
    assert reason["link"] == f"/api/v1/budgets/{shown['id']}"
    assert (shown["subject_id"], shown["limit_usd"]) == (str(agent.pk), "0.00010000")


def test_a_new_version_with_a_higher_limit_wakes_the_run(
    organization: Organization, peer: ModelPeer
) -> None:
    values: dict[str, Any] = {
        "llm_provider": "openai",
        "llm_model": "gpt-4o",
        "max_tokens": 1000,
    }
    agent = make_agent(organization, daily_budget_usd=Decimal("0.0001"), **values)
    task = factories.make_task(organization, agent=agent)
    finish(factories.claim_one(task))

    registry.update_agent(
        organization_id=organization.pk,
        agent_id=agent.pk,
        values={"daily_budget_usd": Decimal(1)},
        actor=SYSTEM,
        now=clock.now(),
    )

    assert finish(factories.claim_one(task)).status == TaskStatus.COMPLETED


def test_what_the_provider_refused_is_given_back(
    organization: Organization, agent: Agent, peer: ModelPeer
) -> None:
    limit(organization, "1")
    claim = factories.claim_one(
        factories.make_task(organization, agent=agent, title="It is refused")
    )

    result = run(claim)

    assert result.error is not None
    assert (result.error.kind, Reservation.objects.count()) == ("provider_unavailable", 0)
    assert not UsageRecord.objects.exists()


def test_what_broke_off_may_have_to_be_paid_for(
    organization: Organization, agent: Agent, peer: ModelPeer
) -> None:
    limit(organization, "1")
    task = factories.make_task(organization, agent=agent, title="It is broken")

    tried = finish(factories.claim_one(task))

    booked = UsageRecord.objects.get()
    assert (tried.error_kind, Reservation.objects.count()) == ("provider_unavailable", 0)
    assert (booked.price_source, booked.ordinal) == ("estimated", None)
    assert booked.cost_usd > Decimal("0.01")  # a thousand tokens of answer alone are a cent
    assert tried.cost_usd == booked.cost_usd


def test_what_a_run_held_whose_worker_died_is_spent(organization: Organization, task: Task) -> None:
    limit(organization, "1")
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, 1, "before")
        with pytest.raises(Killed):
            run(factories.claim_one(task))
    held = Reservation.objects.get()

    finish(claim_again(task))

    lost, done = UsageRecord.objects.order_by("number")
    assert (lost.price_source, lost.cost_usd) == ("estimated", held.amount_usd)
    assert (lost.execution_id, lost.ordinal) == (held.execution_id, held.ordinal)
    assert done.price_source != "estimated"
    assert not Reservation.objects.exists()
    task.refresh_from_db()
    assert task.cost_usd == lost.cost_usd + done.cost_usd


@pytest.mark.parametrize(("usd", "tokens"), [(None, 1000), ("1", 0)])
def test_an_answer_that_came_late_is_booked_unless_it_was_estimated(
    organization: Organization,
    task: Task,
    monkeypatch: pytest.MonkeyPatch,
    usd: str | None,
    tokens: int,
) -> None:
    if usd:
        limit(organization, usd)
    claim = factories.claim_one(task)
    answered = model_turns.record_turn

    def late(**turn: Any) -> Any:
        claim_again(task)
        return answered(**turn)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_turns, "record_turn", late)
        with pytest.raises(Exception, match="lease"):
            run(claim)

    booked = UsageRecord.objects.get()
    assert (booked.execution_id, booked.input_tokens) == (claim.execution.pk, tokens)
    assert booked.cost_usd > 0
    assert Reservation.objects.count() == 0
