"""The tool calls of one model answer."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

from pydantic_ai.messages import ModelRequest, ToolCallPart, ToolReturnPart

from agents.runtime import failures, history
from agents.runtime.failures import RunStopped
from agents.runtime.journal import ToolResult, Verdict
from agents.runtime.model_turns import JournalBroke
from agents.runtime.spec import RunFailure, ToolContext
from agents.runtime.time_limit import TimeLimit
from agents.runtime.tools import Output, ToolFailed, storable
from agents.runtime.toolset import Toolset
from kernel.errors import DomainError

logger = logging.getLogger(__name__)

PARALLEL_CALLS: Final = 5
NO_TOOL: Final = "There is no tool called "


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one call ended; one that was refused never began."""

    part: ToolReturnPart
    result: ToolResult
    is_refused: bool = False


Running: TypeAlias = dict[asyncio.Task[Outcome], ToolCallPart]


async def make_calls(
    parts: Sequence[ToolCallPart],
    tools: Toolset,
    context: ToolContext,
    *,
    time_limit: TimeLimit,
    begin: Callable[[ToolCallPart], Awaitable[Verdict]],
) -> AsyncGenerator[Outcome, None]:
    """Make those of the calls that `begin` grants, five at a time; give each outcome as it comes.

    A call that fails is an outcome too: the model reads the reason. Closing the iterator stops the
    calls that still run; blocking tools end in their thread, unheard. Raises TimeoutError when
    `time_limit` is over with calls still running, and RunStopped, once no call is left
    to make, if some wait for a decision or cannot go on now. JournalBroke, from the run of an agent
    that was called, ends this one at once.
    """
    waiting = deque(parts)
    running: Running = {}
    held: list[RunFailure] = []
    try:
        while waiting or running:
            while waiting and len(running) < PARALLEL_CALLS:
                part = waiting.popleft()
                verdict = await begin(part)
                if verdict.pending is not None:
                    held.append(verdict.pending)
                elif verdict.refusal:
                    yield _refused(part, tools, verdict.refusal)
                else:
                    running[asyncio.create_task(_make(part, tools, context))] = part
            for outcome in await _next(running, time_limit, held):
                yield outcome
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    if held:
        raise RunStopped(failures.held(held))


async def _next(running: Running, limit: TimeLimit, held: list[RunFailure]) -> list[Outcome]:
    """The outcomes of the calls that end next; what stops the run goes into `held`."""
    if not running:
        return []
    done: set[asyncio.Task[Outcome]] = set()
    while not done:  # it may have been more than was left when the wait began
        left = limit.left()
        done, _ = await asyncio.wait(running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not (done or left):
            raise TimeoutError
    outcomes: list[Outcome] = []
    for task in [task for task in running if task in done]:
        del running[task]
        try:
            outcomes.append(task.result())
        except RunStopped as stopped:
            held.append(stopped.failure)
    return outcomes


async def _make(part: ToolCallPart, tools: Toolset, context: ToolContext) -> Outcome:
    started = time.monotonic()
    output, error = await _outcome(part, tools, context)
    error = tools.redact(storable(error))
    return _ended(part, tools, output, error, round((time.monotonic() - started) * 1000))


def _refused(part: ToolCallPart, tools: Toolset, reason: str) -> Outcome:
    return replace(_ended(part, tools, Output(None), reason, 0), is_refused=True)


def _ended(
    part: ToolCallPart, tools: Toolset, output: Output, error: str | None, duration_ms: int
) -> Outcome:
    returned = ToolReturnPart(
        tool_name=part.tool_name,
        content=output.value if error is None else error,
        tool_call_id=part.tool_call_id,
        outcome="success" if error is None else "failed",
    )
    result = ToolResult(
        id=part.tool_call_id,
        tool=tools.name_of(part.tool_name),
        result=output.value,
        error=error,
        duration_ms=duration_ms,
        message=history.dump(ModelRequest(parts=[returned])),
        whole=output.whole,
    )
    return Outcome(returned, result)


async def _outcome(
    part: ToolCallPart, tools: Toolset, context: ToolContext
) -> tuple[Output, str | None]:
    nothing = Output(None)
    arguments: dict[str, Any] | None = history.arguments_of(part)
    tool = tools.find(tools.name_of(part.tool_name))
    if tool is None:
        usable = ", ".join(tools.names()) or "none"
        return nothing, f"{NO_TOOL}{part.tool_name[:100]!r}. You have: {usable}."
    if arguments is None:
        return nothing, history.NO_OBJECT
    try:
        return await tools.make(tool, replace(context, call_id=part.tool_call_id), arguments), None
    except ToolFailed as failed:
        return nothing, str(failed)
    except DomainError as refused:
        return nothing, refused.detail
    except (RunStopped, JournalBroke):
        raise
    except Exception as error:
        logger.exception("agents.tool.broke", extra={"tool": tool.name})
        return nothing, f"The tool failed unexpectedly ({type(error).__name__})."
