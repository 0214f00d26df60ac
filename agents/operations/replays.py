"""Replays: a new task that plays a run again that is over, with the model's recorded answers."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from django.db import transaction

from agents import selectors
from agents.choices import (
    AGENT_TOOL,
    FORKED,
    ExecutionSource,
    ExecutionStatus,
    ReplayTools,
    StepKind,
)
from agents.errors import ExecutionIsRunning, NothingRecorded
from agents.models import AgentExecution, AgentVersion, ExecutionReplay
from agents.operations import resumption, versions
from agents.runtime.spec import HELD, FailureKind
from audit import operations as audit
from kernel import ids
from kernel.actors import Actor
from kernel.errors import Invalid

# Ends of a replay that are not of its own making.
SAY_NOTHING: Final = HELD | {
    FailureKind.TOOL_OUTCOME_UNKNOWN,
    FailureKind.RECORDING_ENDED,
    FailureKind.INTERNAL,
}
# What a step holds that may be large.
CONTENT: Final = ("text", "arguments", "result", "error", "message", "skipped_models")
NO_CALLS: Final = "The run called no tool that can be called again. Leave `tools` out."


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What somebody asks for; version None is the one that the run had."""

    version: int | None = None
    tools: str = ReplayTools.RECORDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerun:
    """What the new task is made of."""

    origin: AgentExecution
    version: AgentVersion
    user_id: UUID


# Makes the task and answers its id; filled by whoever has tasks.
Begin: TypeAlias = Callable[[Rerun, Actor, datetime], UUID]
BEGIN: Final[list[Begin]] = []


@transaction.atomic
def replay_execution(
    *,
    organization_id: UUID,
    execution_id: UUID,
    replay: Replay,
    user_id: UUID,
    actor: Actor,
    now: datetime,
) -> UUID:
    """Begin a task that plays the run again, and answer its id.

    A replay of a replay is one of the run that this one played. Raises ExecutionNotFound,
    ExecutionIsRunning, NothingRecorded, or Invalid for the version, tools that were not called, or
    an agent that is gone.
    """
    asked = selectors.get_execution(
        organization_id=organization_id, execution_id=execution_id, with_steps=False
    )
    origin = _origin_of(asked)
    version = versions.find_version(origin, replay.version)
    if asked.status == ExecutionStatus.RUNNING:
        raise ExecutionIsRunning
    _check(origin, replay)
    (begin,) = BEGIN
    task_id = begin(
        Rerun(origin=origin, version=version or origin.version, user_id=user_id), actor, now
    )
    ExecutionReplay.objects.create(
        id=ids.new(),
        organization_id=organization_id,
        task_id=task_id,
        origin=origin,
        tools=replay.tools,
        created_at=now,
        updated_at=now,
    )
    audit.record(
        actor=actor,
        organization_id=organization_id,
        action="execution.replay",
        resource_type="execution",
        resource_id=origin.pk,
        details={"version": replay.version, "tools": replay.tools, "task_id": str(task_id)},
        now=now,
    )
    return task_id


@dataclass(frozen=True, slots=True)
class PlayedAgain:
    """Which run `of` a replay plays, where the results of its `tools` come from, and whether it
    ended as that one did; None while it has not, and where nothing can be said."""

    of: UUID
    tools: str
    same_end: bool | None


def find_played(*, execution: AgentExecution) -> PlayedAgain | None:
    """What the run plays again, if it does; a query for those that do."""
    if execution.source != ExecutionSource.REPLAY:
        return None
    replay = selectors.get_replay(execution=execution)
    return PlayedAgain(replay.origin_id, replay.tools, _same_end(execution, replay.origin))


def _origin_of(asked: AgentExecution) -> AgentExecution:
    if asked.source != ExecutionSource.REPLAY:
        return asked
    return selectors.get_replay(execution=asked).origin


def _check(origin: AgentExecution, replay: Replay) -> None:
    # Copied steps are the beginning of a run, not one.
    is_fork = origin.error_kind == FORKED
    steps = [] if is_fork else resumption.recorded_steps(execution=origin, without=CONTENT)
    if not any(step.kind == StepKind.MODEL_TURN for step in steps):
        raise NothingRecorded
    called = (step.tool for step in steps if step.kind == StepKind.TOOL_CALL)
    if replay.tools == ReplayTools.LIVE and all(name.startswith(AGENT_TOOL) for name in called):
        raise Invalid.field("tools", NO_CALLS)


def _same_end(run: AgentExecution, origin: AgentExecution) -> bool | None:
    cut_off = run.status in {ExecutionStatus.RUNNING, ExecutionStatus.CANCELLED}
    if cut_off or run.error_kind in SAY_NOTHING:
        return None
    ends = [(each.status, each.error_kind, each.output) for each in (run, origin)]
    return ends[0] == ends[1]
