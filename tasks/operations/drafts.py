"""Tasks before they are written: whether what was asked for can be done."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from agents.models import Agent
from agents.operations import catalogue, registry
from kernel.actors import Actor
from kernel.errors import Invalid
from tasks.choices import PriorityRank, TaskStatus
from tasks.models import Task


def draft_task(
    *,
    organization_id: UUID,
    values: Mapping[str, Any],
    agents: Mapping[UUID, Agent],
    actor: Actor,
    now: datetime,
) -> Task:
    """A task as `TaskInput` describes it, not written yet; `agents` are those that may be named.

    Raises Invalid for an agent or tool that does not exist or a deadline in the past.
    """
    rest = dict(values)
    agent = pick_agent(agents, rest.pop("agent_id", None))
    check_values(organization_id, rest, now)
    check_tools(agent, rest.get("required_tools", []))
    return Task(
        organization_id=organization_id,
        agent=agent,
        status=TaskStatus.ASSIGNED if agent else TaskStatus.PENDING,
        assigned_by=str(actor) if agent else "",
        priority_rank=rank(rest.get("priority", "medium")),
        available_at=now,
        created_at=now,
        updated_at=now,
        **rest,
    )


def find_agents(organization_id: UUID, agent_ids: Iterable[UUID | None]) -> dict[UUID, Agent]:
    """Those of the named agents that the organization has, with their versions."""
    named = {agent_id for agent_id in agent_ids if agent_id}
    if not named:
        return {}
    rows = list(
        Agent.objects.alive()
        .filter(organization_id=organization_id, pk__in=named)
        .only("organization", "current_version")
    )
    versions = registry.load_versions({agent.current_version_id for agent in rows})
    for agent in rows:
        agent.current_version = versions.get(agent.current_version_id)
    return {agent.pk: agent for agent in rows}


def pick_agent(agents: Mapping[UUID, Agent], agent_id: UUID | None) -> Agent | None:
    """The named one; raises Invalid if it is not among them."""
    if agent_id is None:
        return None
    if agent_id not in agents:
        raise Invalid.field("agent_id", "No such agent in your organization.")
    return agents[agent_id]


def check_values(organization_id: UUID, values: Mapping[str, Any], now: datetime) -> None:
    """Raise Invalid for a deadline in the past or a tool that does not exist."""
    deadline = values.get("deadline")
    if deadline is not None and deadline <= now:
        raise Invalid.field("deadline", "The deadline has passed. Send a time in the future.")
    names = values.get("required_tools", ())
    if missing := catalogue.missing_tools(organization_id=organization_id, names=names):
        raise Invalid.field("required_tools", f"Not in the tool catalogue: {', '.join(missing)}.")


def check_tools(agent: Agent | None, required: list[str]) -> None:
    """Raise Invalid if the agent may not use all of `required`."""
    if agent is None or agent.current_version is None:
        return
    usable = agent.current_version.usable_tools
    if lacking := [tool for tool in required if tool not in usable]:
        raise Invalid.field(
            "required_tools", f"The agent may not use: {', '.join(lacking)}. Enable them first."
        )


def rank(priority: str) -> int:
    """Where tasks of this priority stand in the order of claims."""
    return PriorityRank[priority.upper()].value
