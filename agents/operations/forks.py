"""Forks: a new task that goes on from a step of a run that is over."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from django.db import transaction

from agents import selectors
from agents.choices import FORKED, ExecutionStatus, StepKind, StepStatus
from agents.errors import ExecutionIsRunning
from agents.models import AgentExecution, AgentVersion, ExecutionStep, StepOutput
from agents.operations import resumption, versions
from audit import operations as audit
from kernel import batches, ids
from kernel.actors import Actor
from kernel.errors import Invalid

COPIED: Final = "These are the steps of execution {} up to step {}, from which its fork goes on."
NO_STEP: Final = "The execution has no such step. Its `steps` have the numbers."
LAST: Final = "The run ended with this step. Choose one before it."
OPEN: Final = "The outcome of this call, or of one before it, is unknown. Choose a step before it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """What somebody asks for: `step` is an ordinal, version None is whichever is current."""

    step: int
    version: int | None = None
    instructions: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What the new task is made of; its first attempt goes on from the execution `log_id`."""

    origin: AgentExecution
    log_id: UUID
    version: AgentVersion | None
    instructions: str
    user_id: UUID


# Makes the task and answers its id; filled by whoever has tasks.
Begin: TypeAlias = Callable[[Beginning, Actor, datetime], UUID]
BEGIN: Final[list[Begin]] = []


@transaction.atomic
def fork_execution(
    *,
    organization_id: UUID,
    execution_id: UUID,
    fork: Fork,
    user_id: UUID,
    actor: Actor,
    now: datetime,
) -> UUID:
    """Begin a task that goes on after the step, and answer its id.

    Nothing up to the step is done again; calls that its turn asked for and that come after it are
    made anew. Raises ExecutionNotFound, ExecutionIsRunning, or Invalid for the step, the version or
    an agent that is gone.
    """
    origin = selectors.get_execution(
        organization_id=organization_id, execution_id=execution_id, with_steps=False
    )
    if origin.status == ExecutionStatus.RUNNING:
        raise ExecutionIsRunning
    steps = _steps_up_to(origin, fork.step)
    beginning = Beginning(
        origin=origin,
        log_id=ids.new(),
        version=versions.find_version(origin, fork.version),
        instructions=fork.instructions,
        user_id=user_id,
    )
    (begin,) = BEGIN
    task_id = begin(beginning, actor, now)
    _copy(beginning, steps, task_id, fork.step, now)
    audit.record(
        actor=actor,
        organization_id=organization_id,
        action="execution.fork",
        resource_type="execution",
        resource_id=origin.pk,
        details={"step": fork.step, "version": fork.version, "task_id": str(task_id)},
        now=now,
    )
    return task_id


def _steps_up_to(origin: AgentExecution, ordinal: int) -> list[ExecutionStep]:
    """Of the runs that `origin` went on from, and its own up to `ordinal`."""
    own = list(origin.steps.order_by("ordinal", "pk"))
    chosen = [step for step in own if step.ordinal == ordinal]
    if not chosen:
        raise Invalid.field("step", NO_STEP)
    if chosen[0].pk == own[-1].pk and resumption.is_final_answer(chosen[0]):
        raise Invalid.field("step", LAST)
    past = resumption.read_past(execution=origin, may_repeat=lambda _name: False)
    later = {step.pk for step in own if step.ordinal > ordinal}
    # A call that one run began and a later one repeated is over only if its result is among these.
    kept = [step for step in past.steps if step.pk not in later]
    if any(step.pk not in later for step in past.unknown):
        raise Invalid.field("step", OPEN)
    return kept


def _copy(
    beginning: Beginning,
    steps: Sequence[ExecutionStep],
    task_id: UUID,
    ordinal: int,
    now: datetime,
) -> None:
    """An execution of the new task, over already, that has the steps; what they cost was paid."""
    origin = beginning.origin
    AgentExecution.objects.create(
        id=beginning.log_id,
        organization_id=origin.organization_id,
        agent_id=origin.agent_id,
        version=origin.version,
        agent_name=origin.agent_name,
        task_id=task_id,
        user_id=beginning.user_id,
        author_ids=[each for each in (origin.user_id, *origin.author_ids) if each is not None],
        resumed_from=origin,
        status=ExecutionStatus.CANCELLED,
        input=origin.input,
        error=COPIED.format(origin.pk, ordinal),
        error_kind=FORKED,
        tool_calls=sum(step.kind == StepKind.TOOL_CALL for step in steps),
        created_at=now,
        updated_at=now,
        finished_at=now,
    )
    copies = {step.pk: _copy_of(step, beginning.log_id, n) for n, step in enumerate(steps, 1)}
    batches.insert(list(copies.values()))
    outputs = StepOutput.objects.filter(step__in=[step.pk for step in steps if step.is_cut])
    batches.insert(
        [
            StepOutput(
                organization_id=output.organization_id,
                step=copies[output.step_id],
                text=output.text,
                created_at=now,
                updated_at=now,
            )
            for output in outputs
        ]
    )


def _copy_of(step: ExecutionStep, execution_id: UUID, ordinal: int) -> ExecutionStep:
    return ExecutionStep(
        id=ids.new(),
        organization_id=step.organization_id,
        execution_id=execution_id,
        ordinal=ordinal,
        kind=step.kind,
        status=StepStatus(step.status),
        text=step.text,
        tool=step.tool,
        call_id=step.call_id,
        arguments=step.arguments,
        result=step.result,
        is_cut=step.is_cut,
        error=step.error,
        message=step.message,
        provider=step.provider,
        model=step.model,
        skipped_models=step.skipped_models,
        duration_ms=step.duration_ms,
        created_at=step.created_at,
        updated_at=step.updated_at,
    )
