"""Questions about agents and their executions."""

from uuid import UUID

from django.db.models import Prefetch, QuerySet

from agents.errors import AgentNotFound, ExecutionNotFound
from agents.models import Agent, AgentExecution, AgentVersion, ExecutionStep


def list_agents(*, organization_id: UUID) -> QuerySet[Agent]:
    """The organization's agents with their current version, newest first."""
    return (
        Agent.objects.alive()
        .filter(organization_id=organization_id)
        .select_related("current_version")
        .order_by("-created_at", "-pk")
    )


def get_agent(*, organization_id: UUID, agent_id: UUID) -> Agent:
    """One agent with its current version; raises AgentNotFound."""
    agent = list_agents(organization_id=organization_id).filter(pk=agent_id).first()
    if agent is None:
        raise AgentNotFound
    return agent


def has_agent(organization_id: UUID, agent_id: UUID) -> bool:
    """Whether the organization has this agent."""
    return list_agents(organization_id=organization_id).filter(pk=agent_id).exists()


def list_executions(*, organization_id: UUID) -> QuerySet[AgentExecution]:
    """The organization's executions, newest first."""
    return (
        AgentExecution.objects.filter(organization_id=organization_id)
        .select_related("version")
        .order_by("-created_at", "-pk")
    )


def get_execution(*, organization_id: UUID, execution_id: UUID) -> AgentExecution:
    """One execution with its steps in order; raises ExecutionNotFound."""
    steps = Prefetch("steps", ExecutionStep.objects.order_by("ordinal", "pk"))
    rows = list_executions(organization_id=organization_id).prefetch_related(steps)
    found = rows.filter(pk=execution_id).first()
    if found is None:
        raise ExecutionNotFound
    return found


def list_steps(*, organization_id: UUID, execution_id: UUID) -> QuerySet[ExecutionStep]:
    """The steps of one execution in the order in which they began."""
    return ExecutionStep.objects.filter(
        organization_id=organization_id, execution_id=execution_id
    ).order_by("ordinal", "pk")


def list_versions(*, organization_id: UUID, agent_id: UUID) -> QuerySet[AgentVersion]:
    """An agent's versions, newest first."""
    return AgentVersion.objects.filter(organization_id=organization_id, agent_id=agent_id).order_by(
        "-number", "-pk"
    )
