"""The tool calls of one model answer."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Final

from pydantic_ai.messages import ModelRequest, ToolCallPart, ToolReturnPart

from agents.runtime import history
from agents.runtime.journal import ToolCall, ToolResult
from agents.runtime.spec import RunSpec
from agents.runtime.tools import ToolFailed, ToolRegistry
from kernel.errors import DomainError

logger = logging.getLogger(__name__)

PARALLEL_CALLS: Final = 5


async def make_calls(
    parts: Sequence[ToolCallPart],
    spec: RunSpec,
    tools: ToolRegistry,
    *,
    deadline: float,
    on_start: Callable[[ToolCall], Awaitable[None]],
) -> AsyncGenerator[tuple[ToolReturnPart, ToolResult], None]:
    """Make the calls, five at a time, and give each outcome as it comes.

    A call that fails is an outcome too: the model reads the reason. Closing the iterator stops the
    calls that still run; blocking tools end in their thread, unheard. Raises TimeoutError when the
    loop's clock passes `deadline` with calls still running.
    """
    clock = asyncio.get_running_loop().time
    waiting = deque(parts)
    running: dict[asyncio.Task[tuple[ToolReturnPart, ToolResult]], ToolCallPart] = {}
    try:
        while waiting or running:
            while waiting and len(running) < PARALLEL_CALLS:
                part = waiting.popleft()
                await on_start(history.as_tool_call(part))
                running[asyncio.create_task(_make(part, spec, tools))] = part
            done, _ = await asyncio.wait(
                running, timeout=max(0, deadline - clock()), return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                raise TimeoutError
            for task in [task for task in running if task in done]:
                del running[task]
                yield task.result()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _make(
    part: ToolCallPart, spec: RunSpec, tools: ToolRegistry
) -> tuple[ToolReturnPart, ToolResult]:
    started = time.monotonic()
    result, error = await _outcome(part, spec, tools)
    returned = ToolReturnPart(
        tool_name=part.tool_name,
        content=result if error is None else error,
        tool_call_id=part.tool_call_id,
        outcome="success" if error is None else "failed",
    )
    return returned, ToolResult(
        id=part.tool_call_id,
        tool=part.tool_name,
        result=result,
        error=error,
        duration_ms=round((time.monotonic() - started) * 1000),
        message=history.dump(ModelRequest(parts=[returned])),
    )


async def _outcome(
    part: ToolCallPart, spec: RunSpec, tools: ToolRegistry
) -> tuple[Any, str | None]:
    arguments = history.arguments_of(part)
    if part.tool_name not in spec.tools:
        usable = ", ".join(spec.tools) or "none"
        return None, f"There is no tool called {part.tool_name[:100]!r}. You have: {usable}."
    if arguments is None:
        return None, "The arguments are not a JSON object. Send one that fits the tool's schema."
    try:
        return await tools.invoke(part.tool_name, spec.context, arguments), None
    except ToolFailed as failed:
        return None, str(failed)
    except DomainError as refused:
        return None, refused.detail
    except Exception as error:
        logger.exception("agents.tool.broke", extra={"tool": part.tool_name})
        return None, f"The tool failed unexpectedly ({type(error).__name__})."
