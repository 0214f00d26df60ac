"""Questions about agents, their versions and overrides, and their executions."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any, Final
from uuid import UUID

from django.db.models import OuterRef, Prefetch, QuerySet, Subquery
from django.db.models.functions import Left

from agents.choices import AGENT_TOOL, FORKED, STATUSES, AgentKind
from agents.errors import (
    AgentNotFound,
    AgentVersionNotFound,
    ExecutionNotFound,
    OutputNotFound,
    OverrideNotFound,
)
from agents.models import (
    Agent,
    AgentExecution,
    AgentOverride,
    AgentOverrideRevision,
    AgentVersion,
    ExecutionStep,
    StepOutput,
)
from agents.models.agent import CONFIGURATION

PROMPT: Final = "system_prompt"
SHOWN_CHARACTERS: Final = 10_000


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


def find_called(*, organization_id: UUID, names: Iterable[str]) -> dict[str, Agent]:
    """The agents that tools of these names call (`agent:<name>`), by tool; no query without any."""
    asked = [name.removeprefix(AGENT_TOOL) for name in names if name.startswith(AGENT_TOOL)]
    if not asked:
        return {}
    rows = Agent.objects.alive().filter(
        organization_id=organization_id, name__in=asked, kind=AgentKind.HOSTED
    )
    return {f"{AGENT_TOOL}{agent.name}": agent for agent in rows.only("name", "description")}


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


def list_children(*, organization_id: UUID, execution_id: UUID) -> QuerySet[AgentExecution]:
    """The runs of the agents that one run called, in the order in which they began."""
    rows = list_executions(organization_id=organization_id)
    return rows.filter(parent=execution_id).order_by("created_at", "pk")


def get_output(*, organization_id: UUID, step_id: UUID) -> StepOutput:
    """All that a tool returned, where the model was given a part; raises OutputNotFound."""
    found = StepOutput.objects.filter(organization_id=organization_id, step_id=step_id).first()
    if found is None:
        raise OutputNotFound
    return found


def list_ended_runs(
    *, organization_id: UUID, user_id: UUID | None = None
) -> QuerySet[AgentExecution]:
    """What seed 004 lists: runs that have ended, newest first, of one person or of all.

    Texts are read as `shown_input` and `shown_output`, one character longer than what is shown.
    """
    rows = _ended_runs(organization_id, user_id).defer("input", "output", "agent__description")
    return rows.annotate(
        shown_input=Left("input", SHOWN_CHARACTERS + 1),
        shown_output=Left("output", SHOWN_CHARACTERS + 1),
    )


def get_ended_run(
    *, organization_id: UUID, execution_id: UUID, user_id: UUID | None = None
) -> AgentExecution:
    """One of them, whole; raises ExecutionNotFound."""
    found = _ended_runs(organization_id, user_id).filter(pk=execution_id).first()
    if found is None:
        raise ExecutionNotFound
    return found


def _ended_runs(organization_id: UUID, user_id: UUID | None) -> QuerySet[AgentExecution]:
    ended = AgentExecution.objects.filter(organization_id=organization_id, status__in=[*STATUSES])
    rows = ended.exclude(error_kind=FORKED)
    mine = rows if user_id is None else rows.filter(user_id=user_id)
    return mine.select_related("agent").order_by("-created_at", "-pk")


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


def get_version(*, organization_id: UUID, agent_id: UUID, number: int) -> AgentVersion:
    """One version of an agent; raises AgentVersionNotFound."""
    rows = list_versions(organization_id=organization_id, agent_id=agent_id)
    found = rows.filter(number=number).first()
    if found is None:
        raise AgentVersionNotFound
    return found


@dataclass(frozen=True, slots=True)
class FieldChange:
    """What two versions say of one field; `diff` is a unified diff of prompts, else empty."""

    field: str
    before: Any
    after: Any
    diff: str = ""


def compare_versions(*, before: AgentVersion, after: AgentVersion) -> list[FieldChange]:
    """The fields in which two versions differ, in the order of the configuration."""
    old, new = before.configuration(), after.configuration()
    labels = (f"version {before.number}", f"version {after.number}")
    return [
        FieldChange(name, old[name], new[name], _diff(name, old[name], new[name], labels))
        for name in CONFIGURATION
        if old[name] != new[name]
    ]


def _diff(name: str, before: Any, after: Any, labels: tuple[str, str]) -> str:
    if name != PROMPT:
        return ""
    return "\n".join(unified_diff(before.splitlines(), after.splitlines(), *labels, lineterm=""))


def list_overrides(*, organization_id: UUID) -> QuerySet[AgentOverride]:
    """The organization's overrides, newest first."""
    return (
        AgentOverride.objects.alive()
        .filter(organization_id=organization_id)
        .order_by("-created_at", "-pk")
    )


def get_override(*, organization_id: UUID, override_id: UUID) -> AgentOverride:
    """One override; raises OverrideNotFound."""
    found = list_overrides(organization_id=organization_id).filter(pk=override_id).first()
    if found is None:
        raise OverrideNotFound
    return found


def find_override(*, organization_id: UUID, agent_name: str) -> AgentOverride | None:
    """The override of the agent of that name, if there is one."""
    rows = list_overrides(organization_id=organization_id)
    return rows.filter(agent_name=agent_name).order_by().first()


def disabling_override() -> Subquery:
    """For a query of agents: the id of the override that switches each of them off, or null."""
    overrides = AgentOverride.objects.alive().filter(
        organization_id=OuterRef("organization_id"), agent_name=OuterRef("name"), enabled=False
    )
    return Subquery(overrides.values("pk")[:1])


def list_revisions(*, organization_id: UUID, override_id: UUID) -> QuerySet[AgentOverrideRevision]:
    """What an override was, newest first."""
    return AgentOverrideRevision.objects.filter(
        organization_id=organization_id, override_id=override_id
    ).order_by("-number", "-pk")
