"""An agent that another one calls as a tool: a run of its own, below that of its caller."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count

from agents.choices import MOST_CALLS, MOST_DEPTH, ExecutionSource, ExecutionStatus
from agents.errors import AgentDisabled
from agents.models import Agent, AgentExecution, AgentVersion
from agents.operations import effective, executions, registry, resumption
from agents.operations.executions import Ending, Opening
from agents.operations.places import Places
from agents.runtime.failures import RunStopped
from agents.runtime.model_turns import JournalBroke
from agents.runtime.spec import HELD, FailureKind, RunFailure, RunResult, ToolContext
from agents.runtime.time_limit import TimeLimit
from agents.runtime.tools import ToolFailed
from agents.selectors import call_key, root_of
from kernel import clock, loop

RunChild: TypeAlias = Callable[[AgentExecution], Awaitable[RunResult]]

# With these the caller stops too, and the call goes on when the caller does.
STOPS_CALLER: Final = HELD | {FailureKind.TOOL_OUTCOME_UNKNOWN}
# Whoever enables the agent wakes the task; but not one that is just about to wait.
LOOK_AGAIN_SECONDS: Final = 60.0
TOO_DEEP: Final = (
    f"Agents may call each other {MOST_DEPTH} deep, and you are the last of them. Answer without"
    " this agent."
)
TOO_MANY: Final = (
    f"The agents of one task may call others {MOST_CALLS} times in all, and they have. Answer"
    " without this agent."
)
GONE: Final = "The agent was deleted. Go on without it."
STOPPED: Final = "The agent {} is stopped. Go on without it."
_COUNT_ALONE: Final = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
_places: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, Places]]] = (
    WeakKeyDictionary()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentCall:
    """One call of an agent by a run; `call_id` is the provider's."""

    caller: AgentExecution
    call_id: str
    agent_id: UUID
    prompt: str


class AgentCalls:
    """What one run uses to call agents; `run` drives theirs. The run's time, in `time_limit`, is
    not that in which they wait for a place."""

    def __init__(self, execution: AgentExecution, run: RunChild, time_limit: TimeLimit) -> None:
        self._execution = execution
        self._run = run
        self._time_limit = time_limit

    async def ask(self, agent_id: UUID, context: ToolContext, prompt: str) -> str:
        """The agent's answer, from a new run or from the one that this call had before; a run
        waits until its process has a place for it.

        Raises ToolFailed for a run that failed, or AgentDisabled; RunStopped for one that waits;
        JournalBroke for what ends the caller's run as well.
        """
        call = AgentCall(
            caller=self._execution, call_id=context.call_id, agent_id=agent_id, prompt=prompt
        )
        depth = self._execution.depth + 1
        if depth > MOST_DEPTH:
            raise ToolFailed(TOO_DEEP)
        places, waiting = _places_at(depth), self._time_limit.stopped()
        async with places.taken(self._execution.task_id, waiting):
            return await self._make(call)

    async def _make(self, call: AgentCall) -> str:
        failure: RunFailure | None = None
        try:
            child = await loop.get().in_database(open_child, call=call, now=clock.now())
            if child.status == ExecutionStatus.RUNNING:
                result = await self._run(child)
                failure = result.error
                child = await loop.get().in_database(
                    close_child, child=child, result=result, now=clock.now()
                )
        except (ToolFailed, AgentDisabled):
            raise
        except Exception as error:
            raise JournalBroke(error) from error
        if failure is not None and failure.kind in STOPS_CALLER:
            raise RunStopped(_of_caller(failure))
        if child.status == ExecutionStatus.SUCCESS:
            return child.output
        raise ToolFailed(f"The agent failed (execution {child.pk}). {child.error}")


@transaction.atomic
def open_child(*, call: AgentCall, now: datetime) -> AgentExecution:
    """A run to drive for this call, or the one that ended before its result was written down.

    Raises ToolFailed or AgentDisabled for an agent that cannot be called, RunWithoutLease once
    the caller's run is closed.
    """
    caller = call.caller
    key = call_key(root_id=root_of(caller), call_id=call.call_id)
    last = resumption.find_called(execution=caller, keys=[key]).get(key)
    if last is not None and _is_over(last):
        return last
    agent = _callable(caller, call.agent_id if last is None else last.agent_id)
    version = _version(agent, last)
    if last is None:
        _check_calls(caller)
    resumed = resumption.skip_idle(execution_ids=[last.pk])[last.pk] if last else None
    executions.lock_running(caller)
    (child,) = executions.open_executions(
        openings=[
            Opening(
                version=version,
                agent_name=agent.name,
                input=call.prompt,
                task_id=caller.task_id,
                attempt_id=None,
                user_id=caller.user_id,
                author_ids=caller.author_ids,
                resumed_from_id=resumed,
                source=ExecutionSource.AGENT,
                concurrency_key=caller.concurrency_key,
                parent=caller,
                call_key=key,
            )
        ],
        now=now,
    )
    return child


@transaction.atomic
def close_child(*, child: AgentExecution, result: RunResult, now: datetime) -> AgentExecution:
    """Write the end of a called agent's run. Raises RunWithoutLease if it was closed before."""
    ending = Ending(
        status=ExecutionStatus(result.status),
        output=result.output,
        error=result.error.message if result.error else "",
        error_kind=result.error.kind if result.error else "",
        duration_ms=result.duration_ms,
        held_by=result.error.held_by if result.error else None,
    )
    return executions.close_running(execution_id=child.pk, ending=ending, now=now)


def _is_over(run: AgentExecution) -> bool:
    """Whether the run came to an end of its own: nothing of it is to be done any more."""
    if run.status == ExecutionStatus.ERROR:
        return run.error_kind not in STOPS_CALLER
    return run.status in {ExecutionStatus.SUCCESS, ExecutionStatus.TIMEOUT}


def _callable(caller: AgentExecution, agent_id: UUID) -> Agent:
    agent = (
        Agent.objects.alive()
        .filter(organization_id=caller.organization_id, pk=agent_id)
        .select_related("current_version")
        .first()
    )
    if agent is None:
        raise ToolFailed(GONE)
    if not agent.is_active:
        raise ToolFailed(STOPPED.format(agent.name))
    return agent


def _places_at(depth: int) -> Places:
    """The process's places for called agents that stand so deep, at least one; tasks take turns.

    Each depth has its own, half as many as the one above and in all no more than there are for
    tasks. So whoever holds one waits only for a deeper one, and the deepest call nobody.
    """
    places = _places.setdefault(asyncio.get_running_loop(), {})
    if depth not in places:
        places[depth] = Places(max(1, settings.HUB_WORKER_RUNS >> depth))
    return places[depth]


def _check_calls(caller: AgentExecution) -> None:
    """Raises ToolFailed once the task's runs have called agents as often as they may. Who asks
    next waits for the end of this transaction, so none is forgotten."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNT_ALONE, [f"agent_calls {caller.task_id}"])
    runs = AgentExecution.objects.filter(
        organization_id=caller.organization_id, task_id=caller.task_id
    )
    # What a person lets begin anew counts from there; a fork begins with a run of another task.
    fresh = runs.filter(depth=0, resumed_from=None).order_by("-created_at", "-pk")
    began = fresh.values_list("created_at", flat=True).first()
    counted = runs if began is None else runs.filter(created_at__gte=began)
    # One that went on after a wait has several runs.
    if counted.aggregate(calls=Count("call_key", distinct=True))["calls"] >= MOST_CALLS:
        raise ToolFailed(TOO_MANY)


def _version(agent: Agent, last: AgentExecution | None) -> AgentVersion:
    """The one that the call began with; a call that begins is refused if the agent is disabled."""
    if last is not None:
        return last.version
    version = registry.version_of(agent)
    effective.configuration_of(version=version, agent_name=agent.name)
    return version


def _of_caller(failure: RunFailure) -> RunFailure:
    if failure.kind is FailureKind.AGENT_DISABLED and failure.retry_after_seconds is None:
        return replace(failure, retry_after_seconds=LOOK_AGAIN_SECONDS)
    return failure
