"""A task's words that people change while a worker claims it: a run goes by all of some version of
them, and whoever wrote that asks for it (decision 0016)."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final

import pytest

from accounts.models import Organization, User
from agents.models import Agent, AgentExecution
from agents.operations import model_turns
from kernel import clock
from tasks.errors import TaskFixed
from tasks.models import Task
from tasks.operations import endings, requests
from tasks.operations.claims import Claim
from tests.accounts.factories import make_actor
from tests.agents.factories import answered, failed, make_agent
from tests.agents.test_executions import model_turn
from tests.approvals.factories import make_people
from tests.tasks.factories import claim_all, claim_one, make_task
from tests.threads import behind, race

pytestmark = pytest.mark.django_db(transaction=True)
LATER: Final = timedelta(minutes=10)


def words(name: str) -> dict[str, Any]:
    """Everything that an agent is told of a task, in one person's words."""
    return {
        "title": f"{name}'s title",
        "description": f"{name}'s description",
        "instructions": f"{name}'s instructions",
        "output_schema": {"type": "object", "title": name},
    }


@pytest.fixture
def people(organization: Organization) -> list[User]:
    """Ben and Cem, who change what Ann wrote."""
    return make_people(organization, 2)


@pytest.fixture
def agent(organization: Organization) -> Agent:
    return make_agent(organization)


@pytest.fixture
def task(agent: Agent) -> Task:
    return make_task(agent.organization, agent=agent, **words("Ann"))


def rewrite(task: Task, person: User, values: Mapping[str, Any]) -> Task:
    return requests.update_task(
        organization_id=task.organization_id,
        task_id=task.pk,
        values=values,
        actor=make_actor(person),
        now=clock.now(),
    )


def claim(**how: Any) -> Claim:
    """The claim of the one task; who locks its agent for over a second is passed over at first."""
    for _ in range(20):
        if claims := claim_all(**how):
            return claims[0]
    raise AssertionError("Nothing could be claimed.")


def run_of(claimed: Claim) -> AgentExecution:
    return AgentExecution.objects.get(pk=claimed.execution.pk)


def told(name: str) -> tuple[str, Any]:
    """What a run is told in one person's words, and what it has to answer with."""
    title, description, instructions, schema = words(name).values()
    return f"{title}\n\n{description}\n\n{instructions}", schema


def test_a_claim_behind_new_words_has_all_of_them_and_their_author(
    task: Task, people: list[User]
) -> None:
    ben, _ = people

    _, claimed = behind(partial(rewrite, task, ben, words("Ben")), claim)

    run = run_of(claimed)
    assert (run.input, run.output_schema) == told("Ben")
    assert (run.user_id, run.author_ids) == (task.user_id, [ben.pk])


def test_new_words_behind_a_claim_are_refused_and_their_author_asks_for_nothing(
    task: Task, people: list[User]
) -> None:
    ben, _ = people

    claimed, late = behind(claim, partial(rewrite, task, ben, words("Ben")))

    run = run_of(claimed)
    task.refresh_from_db()
    assert isinstance(late, TaskFixed)
    assert (run.input, run.output_schema, run.author_ids) == (*told("Ann"), [])
    assert (task.title, task.status, task.author_ids) == ("Ann's title", "in_progress", [])


@pytest.fixture
def begun(task: Task) -> AgentExecution:
    """A run that got an answer before it failed; the next one goes on from it."""
    first = claim_one(task)
    model_turns.record_turn(
        execution=first.execution, ordinal=1, turn=model_turn(), now=clock.now()
    )
    endings.settle_attempt(claim=first, result=failed(), now=clock.now())
    return first.execution


def test_a_run_behind_new_words_does_not_go_on_with_the_old_conversation(
    task: Task, people: list[User], begun: AgentExecution
) -> None:
    goes_on = partial(claim, now=clock.now() + LATER)

    _, claimed = behind(partial(rewrite, task, people[0], {"title": "Ben's"}), goes_on)

    run = run_of(claimed)
    assert (run.input.splitlines()[0], run.resumed_from_id) == ("Ben's", None)
    assert run.author_ids == [people[0].pk]


def test_a_run_that_goes_on_is_given_no_new_words(
    task: Task, people: list[User], begun: AgentExecution
) -> None:
    goes_on = partial(claim, now=clock.now() + LATER)

    claimed, late = behind(goes_on, partial(rewrite, task, people[0], {"title": "Ben's"}))

    run = run_of(claimed)
    assert isinstance(late, TaskFixed)
    assert (run.input, run.resumed_from_id) == (told("Ann")[0], begun.pk)
    assert run.author_ids == []


def test_whoever_comes_first_no_run_has_words_without_their_author(
    agent: Agent, people: list[User]
) -> None:
    names = dict(zip(("Ben", "Cem"), people, strict=True))
    for _ in range(5):
        task = make_task(agent.organization, agent=agent, **words("Ann"))

        claimed, *written = race(
            claim, *[partial(rewrite, task, user, words(name)) for name, user in names.items()]
        )

        run = run_of(claimed)
        assert {type(found) for found in written} <= {Task, TaskFixed}
        authors = {
            name for name, found in zip(names, written, strict=True) if isinstance(found, Task)
        }
        assert (run.input, run.output_schema) in [told(name) for name in authors or {"Ann"}]
        assert set(run.author_ids) == {names[name].pk for name in authors}
        endings.settle_attempt(claim=claimed, result=answered(), now=clock.now())
