"""Questions about agents, their versions and overrides, and their executions."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import unified_diff
from typing import Any, Final
from uuid import UUID, uuid5

from django.db.models import OuterRef, Prefetch, QuerySet, Subquery
from django.db.models.functions import Left

from agents.choices import (
    AGENT_TOOL,
    FORKED,
    STATUSES,
    AgentKind,
    ExecutionSource,
    StepKind,
)
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
    ExecutionReplay,
    ExecutionStep,
    StepOutput,
)
from agents.models.agent import CONFIGURATION
from approvals.choices import ApprovalStatus
from approvals.models import Approval

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


def find_agents(organization_id: UUID, agent_ids: Collection[UUID]) -> frozenset[UUID]:
    """Those of the ids that are agents of the organization; a hook of `tools`' policies."""
    rows = list_agents(organization_id=organization_id).filter(pk__in=agent_ids)
    return frozenset(rows.order_by().values_list("pk", flat=True))


def name_agents(organization_id: UUID, agent_ids: Collection[UUID]) -> dict[UUID, str]:
    """What agents are called, deleted ones too; a hook of `cost`'s reports."""
    rows = Agent.objects.filter(organization_id=organization_id, pk__in=agent_ids)
    return dict(rows.order_by().values_list("pk", "name"))


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


def get_execution(
    *, organization_id: UUID, execution_id: UUID, with_steps: bool = True
) -> AgentExecution:
    """One execution, with its steps in order or without; raises ExecutionNotFound."""
    rows = list_executions(organization_id=organization_id)
    if with_steps:
        steps = Prefetch("steps", ExecutionStep.objects.order_by("ordinal", "pk"))
        rows = rows.prefetch_related(steps)
    found = rows.filter(pk=execution_id).first()
    if found is None:
        raise ExecutionNotFound
    return found


def get_replay(*, execution: AgentExecution) -> ExecutionReplay:
    """What a run of source `replay` plays, with that run."""
    replays = ExecutionReplay.objects.filter(organization_id=execution.organization_id)
    return replays.select_related("origin__version").get(task_id__in=[execution.task_id])


def list_children(*, organization_id: UUID, execution_id: UUID) -> QuerySet[AgentExecution]:
    """The runs of the agents that one run called, in the order in which they began."""
    rows = list_executions(organization_id=organization_id)
    return rows.filter(parent=execution_id).order_by("created_at", "pk")


@dataclass(frozen=True, slots=True)
class CallApproval:
    """What people said, or have yet to say, about a call of a run; `step` is that of the call, None
    where this run did not begin it."""

    approval: Approval
    status: ApprovalStatus
    step: ExecutionStep | None


def list_approvals(
    *, execution: AgentExecution, steps: Iterable[ExecutionStep], now: datetime
) -> list[CallApproval]:
    """What the run's calls (in `steps`) waited for or used, and what it asked for, oldest first."""
    asked = Approval.objects.filter(
        organization_id=execution.organization_id, task_id__in=[execution.task_id]
    ).exclude(call_id="")
    found = list(asked.select_related("decided_by").order_by("created_at", "pk"))
    if not found:
        return []
    root_id = root_of(execution)
    made = [step for step in steps if step.kind == StepKind.TOOL_CALL]
    calls = {str(call_key(root_id=root_id, call_id=step.call_id)): step for step in made}
    return [
        CallApproval(each, each.status_at(now=now), calls.get(each.call_id))
        for each in found
        if each.call_id in calls or each.execution_id == execution.pk
    ]


def call_key(*, root_id: UUID, call_id: str) -> UUID:
    """By which a call's approval and the runs of a called agent are found, whichever attempt makes
    it: providers' ids of calls are unique only among the runs that go on from `root_id`."""
    return uuid5(root_id, call_id)


# By the key of each run: what else the task has costs nothing.
_ROOTS: Final = """
WITH RECURSIVE chain AS (
    SELECT id AS run_id, id, resumed_from_id, task_id, 0 AS place FROM agents_agentexecution
    WHERE id = ANY(%(runs)s) AND organization_id = %(organization)s
    UNION ALL
    SELECT chain.run_id, before.id, before.resumed_from_id, before.task_id, chain.place + 1
    FROM agents_agentexecution AS before JOIN chain ON before.id = chain.resumed_from_id
    WHERE before.task_id IS NOT DISTINCT FROM chain.task_id
)
SELECT DISTINCT ON (run_id) run_id AS id, id AS root_id FROM chain ORDER BY run_id, place DESC
"""


def root_of(execution: AgentExecution) -> UUID:
    """The first of the runs of its task that `execution` goes on from, or itself."""
    return roots_of(executions=[execution])[execution.pk]


def roots_of(*, executions: Sequence[AgentExecution]) -> dict[UUID, UUID]:
    """The same for several runs of one organization; one query, or none."""
    roots: dict[UUID, UUID] = {run.pk: run.pk for run in executions}
    going_on = [run for run in executions if run.resumed_from_id is not None]
    if going_on:
        asked = {
            "runs": [run.pk for run in going_on],
            "organization": going_on[0].organization_id,
        }
        found: Any = AgentExecution.objects.raw(_ROOTS, asked)
        roots |= {run.pk: run.root_id for run in found}
    return roots


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
    rows = ended.exclude(error_kind=FORKED).exclude(source=ExecutionSource.REPLAY)
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


def list_versions_of_run(
    *, organization_id: UUID, execution_id: UUID
) -> list[tuple[int, datetime]]:
    """The 50 newest versions of the agent of a run, as number and when each was made."""
    runs = AgentExecution.objects.filter(organization_id=organization_id, pk=execution_id)
    rows = AgentVersion.objects.filter(
        organization_id=organization_id, agent_id__in=runs.values("agent_id")
    )
    return list(rows.order_by("-number").values_list("number", "created_at")[:50])


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


def list_disabling(*, organization_id: UUID) -> QuerySet[AgentOverride]:
    """The overrides that switch agents off, by name."""
    rows = list_overrides(organization_id=organization_id).filter(enabled=False)
    return rows.order_by("agent_name", "pk")


def overriding_provider() -> Subquery:
    """For a query of agents: the provider that an override gives each of them, or null."""
    overrides = AgentOverride.objects.alive().filter(
        organization_id=OuterRef("organization_id"), agent_name=OuterRef("name")
    )
    return Subquery(overrides.values("provider")[:1])


def list_revisions(*, organization_id: UUID, override_id: UUID) -> QuerySet[AgentOverrideRevision]:
    """What an override was, newest first."""
    return AgentOverrideRevision.objects.filter(
        organization_id=organization_id, override_id=override_id
    ).order_by("-number", "-pk")
