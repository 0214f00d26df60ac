"""Who asks for what an agent does: all who wrote what it is told, or let it begin again."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import ApiKey, Organization, User
from agents.choices import ExecutionSource
from agents.models import AgentExecution
from agents.operations import overrides, registry
from agents.runtime.tools import Tool
from approvals.models import Approval
from kernel import clock
from kernel.actors import SYSTEM, Actor
from tasks.models import Task
from tasks.operations import endings, redrives, requests
from tests.accounts.factories import make_actor, make_key, make_user
from tests.agents.factories import failed, make_agent, registered
from tests.approvals.factories import make_people
from tests.clients import ApiClient
from tests.peers.model_server import ModelPeer
from tests.peers.script import Answer
from tests.tasks.factories import claim_one, make_task
from tests.tasks.scripted import answering, finish

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], ApiClient]
PAY = Tool(
    name="pay",
    description="Pays.",
    parameters={"type": "object"},
    call=lambda *_: "Paid.",
    side_effect="write",
    idempotent=False,
)


@pytest.fixture
def people(organization: Organization) -> list[User]:
    """Ann asks, Ben changes, Cem decides."""
    return make_people(organization, 3)


@pytest.fixture
def task(organization: Organization, people: list[User]) -> Iterator[Task]:
    """Ann's, for an agent whose payments somebody has to approve."""
    with registered(PAY):
        agent = make_agent(
            organization,
            llm_provider="openai",
            enabled_tools=["pay"],
            autonomy_level="supervised",
        )
        yield make_task(organization, agent=agent, user_id=people[0].pk)


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelPeer]:
    with answering(monkeypatch, lambda _: Answer(tool_calls=(("pay", {}),))) as model:
        yield model


def votes(api: Api, *people: User) -> list[int]:
    """What these people are answered when they approve the one call that is asked for."""
    path = f"/api/v1/approvals/{Approval.objects.get(status='pending').pk}/approve"
    return [api(person).post(path, {}).status_code for person in people]


def rewrite(task: Task, person: User) -> None:
    """Somebody gives the task's agent another prompt."""
    assert task.agent is not None
    registry.update_agent(
        organization_id=task.organization_id,
        agent_id=task.agent.pk,
        values={"system_prompt": "Pay whom you are told to."},
        actor=make_actor(person),
        now=clock.now(),
    )


def test_whoever_writes_into_a_task_asks_for_it_too(
    api: Api, people: list[User], task: Task, peer: ModelPeer
) -> None:
    ann, ben, cem = people
    path = f"/api/v1/tasks/{task.pk}"
    assert api(ben).patch(path, {"instructions": "Pay Ben."}).status_code == 200
    assert api(cem).patch(path, {"priority": "high"}).status_code == 200
    finish(claim_one(task))

    waiting = [api(each).get("/api/v1/approvals?mine=true").json()["items"] for each in people]

    assert [len(found) for found in waiting] == [0, 0, 1]
    assert votes(api, ann, ben, cem) == [403, 403, 200]


def test_whoever_lets_a_task_begin_again_asks_for_it_too(
    api: Api, people: list[User], task: Task, peer: ModelPeer
) -> None:
    ann, ben, cem = people
    endings.settle_attempt(claim=claim_one(task), result=failed(retryable=False), now=clock.now())
    redrives.redrive_task(
        organization_id=task.organization_id,
        task_id=task.pk,
        actor=make_actor(ben),
        now=clock.now(),
    )
    finish(claim_one(task))

    assert votes(api, ann, ben, cem) == [403, 403, 200]


def test_whose_words_a_fork_has_asked_for_it_too(
    api: Api, people: list[User], task: Task, peer: ModelPeer
) -> None:
    ann, ben, cem = people
    finish(claim_one(task))
    origin = AgentExecution.objects.get()
    api(ann).post(f"/api/v1/tasks/{task.pk}/cancel", {})

    begun = api(ben).post(f"/api/v1/executions/{origin.pk}/fork", {"step": 1}).json()
    finish(claim_one(Task.objects.get(pk=begun["task_id"])))

    assert votes(api, ann, ben, cem) == [403, 403, 200]


def test_a_fork_of_a_fork_s_beginning_keeps_who_asked(
    api: Api, people: list[User], task: Task, peer: ModelPeer
) -> None:
    ann, ben, cem = people
    finish(claim_one(task))
    origin = AgentExecution.objects.get()
    api(ann).post(f"/api/v1/tasks/{task.pk}/cancel", {})
    begun = api(ben).post(f"/api/v1/executions/{origin.pk}/fork", {"step": 1}).json()
    log = AgentExecution.objects.get(task_id=begun["task_id"])

    forked = api(cem).post(f"/api/v1/executions/{log.pk}/fork", {"step": 1}).json()

    asked = Task.objects.get(pk=forked["task_id"])
    assert (asked.user_id, asked.author_ids) == (cem.pk, [ben.pk, ann.pk])


def test_whoever_wrote_what_the_agent_goes_by_asks_for_it_too(
    api: Api, people: list[User], task: Task, peer: ModelPeer
) -> None:
    ann, ben, cem = people
    rewrite(task, ben)
    finish(claim_one(task))

    assert votes(api, ann, ben, cem) == [403, 403, 200]


def test_whoever_wrote_the_override_in_force_asks_for_it_too(
    api: Api, people: list[User], task: Task, peer: ModelPeer
) -> None:
    ann, ben, cem = people
    assert task.agent is not None
    overrides.create_override(
        organization_id=task.organization_id,
        agent_name=task.agent.name,
        values={"system_prompt": "Pay Ben."},
        actor=make_actor(ben),
        user_id=ben.pk,
        now=clock.now(),
    )
    finish(claim_one(task))

    assert votes(api, ann, ben, cem) == [403, 403, 200]
    assert Approval.objects.get().author_ids == [ben.pk]


@pytest.mark.parametrize("where", ["version", "override"])
def test_who_wrote_it_before_the_last_one_did_asks_for_it_too(
    api: Api, people: list[User], task: Task, peer: ModelPeer, where: str
) -> None:
    """The last edit keeps the words of the one before."""
    ann, ben, cem = people
    dan = make_people(task.organization, 1)[0]
    assert task.agent is not None
    scope: dict[str, Any] = {"organization_id": task.organization_id, "now": clock.now()}
    if where == "version":
        rewrite(task, ben)
        registry.update_agent(
            agent_id=task.agent.pk, values={"temperature": 0.1}, actor=make_actor(cem), **scope
        )
    else:
        made = overrides.create_override(
            agent_name=task.agent.name,
            values={"system_prompt": "Pay Ben."},
            actor=make_actor(ben),
            user_id=ben.pk,
            **scope,
        )
        overrides.update_override(
            override_id=made.pk,
            values={"temperature": 0.1},
            actor=make_actor(cem),
            user_id=cem.pk,
            **scope,
        )
    finish(claim_one(task))

    assert votes(api, ann, ben, cem, dan) == [403, 403, 403, 200]


def test_whoever_made_the_agent_before_may_decide(
    organization: Organization, api: Api, people: list[User], task: Task, peer: ModelPeer
) -> None:
    ann, ben, _ = people
    rewrite(task, ben)
    later = make_task(organization, agent=task.agent, user_id=ann.pk)
    finish(claim_one(later))

    assert votes(api, ann, ben) == [403, 200]


@pytest.mark.parametrize("said", [{"conversation_id": uuid4()}, {"source": ExecutionSource.REST}])
def test_what_somebody_says_or_waits_for_has_their_words_alone(
    api: Api, people: list[User], task: Task, said: dict[str, Any]
) -> None:
    ann, ben, _ = people
    Task.objects.filter(pk=task.pk).update(**said)
    path = f"/api/v1/tasks/{task.pk}"

    refused = api(ben).patch(path, {"instructions": "Pay Ben."})

    assert (refused.status_code, refused.json()["code"]) == (409, "task.fixed")
    assert api(ben).patch(path, {"priority": "high"}).status_code == 200
    assert api(ann).patch(path, {"instructions": "Pay Cem."}).status_code == 200


def test_a_key_stands_for_its_owner(organization: Organization, task: Task) -> None:
    owner = make_user(organization)
    make_key(owner, "write")
    key = Actor(type="key", id=str(ApiKey.objects.get().pk), label="key")

    for title, actor in (("a", key), ("b", SYSTEM), ("c", key)):
        requests.update_task(
            organization_id=organization.pk,
            task_id=task.pk,
            values={"title": title},
            actor=actor,
            now=clock.now(),
        )

    task.refresh_from_db()
    assert task.author_ids == [owner.pk]
