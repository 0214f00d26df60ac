"""What an agent was told before: found for a new run, or gone back to."""

from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from agents import selectors
from agents.errors import AgentVersionIsCurrent, AgentVersionNotFound
from agents.models import Agent, AgentExecution, AgentVersion
from agents.operations import registry
from audit import operations as audit
from kernel.actors import Actor
from kernel.errors import Invalid

NO_VERSION: Final = "The agent has no such version."


def find_version(origin: AgentExecution, number: int | None) -> AgentVersion | None:
    """The version that a new task shall go by, of the agent of `origin`; None without a number.

    Raises Invalid: the number is a field of what was asked, not an address.
    """
    if number is None:
        return None
    try:
        return selectors.get_version(
            organization_id=origin.organization_id, agent_id=origin.agent_id, number=number
        )
    except AgentVersionNotFound:
        raise Invalid.field("version", NO_VERSION) from None


@transaction.atomic
def roll_back_agent(
    *, organization_id: UUID, agent_id: UUID, number: int, actor: Actor, now: datetime
) -> Agent:
    """Give the agent a new version with the configuration of version `number`.

    Runs in flight keep theirs. Tools that the catalogue has no more are passed over by runs. Raises
    AgentNotFound, AgentVersionNotFound or AgentVersionIsCurrent.
    """
    agent = registry.lock_agent(organization_id=organization_id, agent_id=agent_id)
    old = selectors.get_version(organization_id=organization_id, agent_id=agent_id, number=number)
    current = registry.version_of(agent)
    if old.configuration() == current.configuration():
        raise AgentVersionIsCurrent
    registry.add_version(agent, old.configuration(), actor, now)
    agent.updated_at = now
    agent.save(update_fields=["updated_at"])
    audit.record(
        actor=actor,
        organization_id=organization_id,
        action="agent.rollback",
        resource_type="agent",
        resource_id=agent.pk,
        details={"from": current.number, "to": number, "version": current.number + 1},
        now=now,
    )
    return agent
