"""An agent that an override disables takes no task; enabling it lets what waits go on."""

from typing import Any

import pytest

from accounts.models import Organization
from agents.models import AgentOverride
from kernel import clock, jobs
from tasks.models import Task
from tasks.operations import claims, sweeps
from tasks.selectors.explanations import explain_task
from tests.agents.factories import change_override, drop_override, make_agent, make_override
from tests.clients import ApiClient
from tests.tasks.factories import claim_all, make_task


@pytest.fixture
def override(organization: Organization) -> AgentOverride:
    """One that disables Ada."""
    return make_override(organization, "Ada", enabled=False)


@pytest.fixture
def task(organization: Organization) -> Task:
    """A task of Ada's."""
    return make_task(organization, agent=make_agent(organization, name="Ada"))


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was rung for."""
    bells: list[str] = []
    monkeypatch.setattr(jobs, "ring", lambda name, **_: bells.append(name))
    return bells


def test_a_disabled_agent_is_not_claimed_for(task: Task, override: AgentOverride) -> None:
    assert claim_all() == []
    assert not claims.is_claimable_waiting(now=clock.now())

    change_override(override, enabled=True)

    assert [claim.task_id for claim in claim_all()] == [task.pk]


@pytest.mark.parametrize("way", ["other name", "other organization", "dropped", "enabled"])
def test_only_its_own_living_override_disables_an_agent(
    task: Task, other_organization: Organization, way: str
) -> None:
    home = other_organization if way == "other organization" else task.organization
    name = "ada" if way == "other name" else "Ada"
    override = make_override(home, name, enabled=way == "enabled")
    if way == "dropped":
        drop_override(override)

    assert [claim.task_id for claim in claim_all()] == [task.pk]


def test_disabled_while_its_lock_is_taken_an_agent_is_left_alone(
    task: Task, override: AgentOverride
) -> None:
    assert task.agent_id is not None

    locked = claims._lock_agents({task.agent_id}, skip_locked=False)

    assert locked == {}


def test_a_free_task_goes_to_another_agent(
    organization: Organization, override: AgentOverride
) -> None:
    make_agent(organization, name="Ada")
    bob = make_agent(organization, name="Bob")
    free = [make_task(organization) for _ in range(2)]

    sweeps.assign_tasks(now=clock.now())

    for task in free:
        task.refresh_from_db()
        assert task.agent_id == bob.pk


@pytest.mark.parametrize("end", ["enabled", "dropped"])
def test_an_agent_that_works_again_is_rung_for(
    task: Task, override: AgentOverride, rung: list[str], end: str
) -> None:
    if end == "enabled":
        change_override(override, enabled=True)
    else:
        drop_override(override)

    assert {"tasks.claim_tasks", "tasks.sweep_tasks"} <= set(rung)


def test_other_changes_ring_for_nobody(
    organization: Organization, override: AgentOverride, rung: list[str]
) -> None:
    change_override(override, max_tokens=5)
    drop_override(make_override(organization, "Bob"))

    assert "tasks.claim_tasks" not in rung


def test_the_explanation_names_the_override(
    task: Task, override: AgentOverride, admin: Any
) -> None:
    (reason,) = explain_task(task=task, now=clock.now()).reasons

    shown = ApiClient(admin).get(f"/api/v1/tasks/{task.pk}/explain").json()
    assert (reason.code, reason.kind, reason.id) == ("agent_disabled", "override", override.pk)
    assert reason.message == "An override disables agent Ada. Have an administrator enable it."
    assert shown["summary"] == "The task waits until somebody enables an agent."
    assert shown["reasons"][0]["link"] == f"/v1/agentoverride/{override.pk}"
    assert shown["reasons"][0]["console_link"] == (
        f"/admin/agents/agentoverride/{override.pk}/change/"
    )


def test_an_agent_that_is_disabled_fits_no_task(
    organization: Organization, override: AgentOverride
) -> None:
    make_agent(organization, name="Ada")

    reasons = explain_task(task=make_task(organization), now=clock.now()).reasons

    assert [reason.code for reason in reasons] == ["no_agent_fits", "agent_disabled"]
    assert reasons[0].message == "An override disables each agent that has the tools. Enable one."
