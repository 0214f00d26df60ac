"""Going back to what an agent was told before."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from agents import selectors
from agents.errors import AgentVersionIsCurrent
from agents.models import Agent
from agents.operations import registry
from audit import operations as audit
from kernel.actors import Actor


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
