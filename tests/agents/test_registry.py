"""Creating, changing, starting, stopping and deleting agents."""

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import Organization
from agents.choices import AgentStatus
from agents.errors import AgentHasRunningTasks, AgentNameTaken, AgentNotFound
from agents.models import Agent, AgentVersion
from agents.operations import catalogue, registry
from agents.runtime.tools import Tool
from audit.models import AuditEvent
from events.models import OutboxEvent
from kernel import clock
from kernel.errors import Invalid
from tests.agents.factories import PERSON, make_agent
from tests.tasks.factories import change, claim_one, make_task


def do(operation: Any, agent: Agent, **more: Any) -> Any:
    return operation(
        organization_id=agent.organization_id,
        agent_id=agent.pk,
        actor=PERSON,
        now=clock.now(),
        **more,
    )


def update(agent: Agent, **values: Any) -> Agent:
    changed: Agent = do(registry.update_agent, agent, values=values)
    return changed


def test_a_new_agent_is_offline_with_version_one(organization: Organization) -> None:
    agent = make_agent(organization, started=False, system_prompt="Be brief.")

    version = AgentVersion.objects.get()
    assert (agent.status, agent.is_active) == (AgentStatus.OFFLINE, False)
    assert (agent.current_version, version.number) == (version, 1)
    assert (version.system_prompt, version.created_by) == ("Be brief.", "person@example.com")
    assert not OutboxEvent.objects.exists()


def test_a_changed_configuration_is_a_new_version(organization: Organization) -> None:
    agent = make_agent(organization, temperature=0.1, max_tokens=10)

    changed = update(agent, temperature=0.2, description="d")

    numbers = AgentVersion.objects.order_by("number")
    assert list(numbers.values_list("number", "temperature", "max_tokens")) == [
        (1, 0.1, 10),
        (2, 0.2, 10),
    ]
    assert (changed.current_version, changed.description) == (numbers[1], "d")
    assert AuditEvent.objects.latest("pk").details == {
        "fields": ["description", "temperature"],
        "version": 2,
    }


@pytest.mark.parametrize("values", [{}, {"temperature": 0.7}, {"enabled_tools": []}, {"tags": []}])
def test_the_same_configuration_is_no_new_version(
    organization: Organization, values: dict[str, Any]
) -> None:
    agent = make_agent(organization)
    before = AuditEvent.objects.count()

    update(agent, **values)

    assert AgentVersion.objects.count() == 1
    assert AuditEvent.objects.count() == before


def test_a_description_is_not_configuration(organization: Organization) -> None:
    update(make_agent(organization), description="d", tags=["a"])

    assert AgentVersion.objects.count() == 1


def test_a_run_keeps_the_version_it_began_with(organization: Organization) -> None:
    agent = make_agent(organization)
    claim = claim_one(make_task(organization, agent=agent))

    update(agent, system_prompt="Anew.")

    claim.execution.refresh_from_db()
    assert claim.execution.version.number == 1


@pytest.mark.parametrize(
    ("values", "field"),
    [({"llm_provider": "skynet"}, "llm_provider"), ({"enabled_tools": ["no"]}, "enabled_tools")],
)
def test_what_the_hub_does_not_know_is_refused(
    organization: Organization, values: dict[str, Any], field: str
) -> None:
    agent = make_agent(organization)

    attempts: list[Callable[[], Agent]] = [
        lambda: make_agent(organization, **values),
        lambda: update(agent, **values),
    ]
    for attempt in attempts:
        with pytest.raises(Invalid) as refused:
            attempt()
        assert refused.value.fields[0]["field"] == field

    assert Agent.objects.count() == AgentVersion.objects.count() == 1


def test_a_name_is_taken_within_its_organization(
    organization: Organization, other_organization: Organization
) -> None:
    make_agent(organization, name="Ada")
    other = make_agent(organization, name="Bob")
    make_agent(other_organization, name="Ada")

    attempts: list[Callable[[], Agent]] = [
        lambda: make_agent(organization, name="Ada"),
        lambda: update(other, name="Ada", temperature=0.1),
    ]
    for attempt in attempts:
        with pytest.raises(AgentNameTaken):
            attempt()

    assert AgentVersion.objects.filter(organization=organization).count() == 2


def test_starting_and_stopping_say_so_once(organization: Organization) -> None:
    agent = make_agent(organization, started=False)

    for operation in (registry.start_agent, registry.start_agent):
        agent = do(operation, agent)
    started = (agent.status, agent.is_active)
    for operation in (registry.stop_agent, registry.stop_agent):
        agent = do(operation, agent)

    assert started == (AgentStatus.IDLE, True)
    assert (agent.status, agent.is_active) == (AgentStatus.OFFLINE, False)
    assert [e.data["status"] for e in OutboxEvent.objects.order_by("pk")] == ["idle", "offline"]
    actions = AuditEvent.objects.filter(action__in=["agent.start", "agent.stop"]).order_by("pk")
    assert list(actions.values_list("action", flat=True)) == ["agent.start", "agent.stop"]


def test_a_stopped_agents_tasks_wait_for_it(organization: Organization) -> None:
    agent = make_agent(organization)
    tasks = [make_task(organization, agent=agent) for _ in range(2)]
    claim_one(tasks[0], limit=1)
    change(tasks[1], status="in_progress")

    do(registry.stop_agent, agent)

    for task in tasks:
        task.refresh_from_db()
        assert (task.status, task.agent_id, task.retry_count) == ("assigned", agent.pk, 0)
    assert AuditEvent.objects.latest("pk").details == {"tasks_returned": 2}


def test_an_agent_starts_busy_if_somebody_began_its_task_by_hand(
    organization: Organization,
) -> None:
    agent = make_agent(organization, started=False)
    change(make_task(organization, agent=agent), status="in_progress")

    assert do(registry.start_agent, agent).status == AgentStatus.BUSY


def test_an_agent_at_work_is_not_deleted(organization: Organization) -> None:
    agent = make_agent(organization)
    claim_one(make_task(organization, agent=agent))

    with pytest.raises(AgentHasRunningTasks):
        do(registry.delete_agent, agent)
    do(registry.stop_agent, agent)
    do(registry.delete_agent, agent)

    for operation in (registry.start_agent, registry.stop_agent, registry.delete_agent):
        with pytest.raises(AgentNotFound):
            do(operation, agent)
    assert make_agent(organization, name=agent.name).pk != agent.pk


def test_a_tool_is_registered_once() -> None:
    known = catalogue.TOOLS.names()

    with pytest.raises(ValueError, match="The tool calculator is registered twice"):
        catalogue.register_tools(
            [Tool(name="calculator", description="x", parameters={}, call=print)]
        )

    assert catalogue.TOOLS.names() == known
    assert {"calculator", "http_get", "knowledge_search"} <= set(known)
