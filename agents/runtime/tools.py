"""What agents can call, and the one place where a call is checked, bounded and made."""

import asyncio
import inspect
import json
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from agents.runtime.spec import Redact, ToolContext, as_it_is
from agents.runtime.threads import BlockingCalls, ThreadsExhausted, contained
from kernel import json_validation
from kernel.json_validation import MOST_VALUES, TooLarge

OUTPUT_LIMIT_BYTES: Final = 50_000
# What is kept of an output that the model sees cut.
WHOLE_LIMIT_BYTES: Final = 5_000_000
MISFIT: Final = "The arguments do not fit: "
TOO_MUCH: Final = (
    f"The tool was called, and its answer holds more than {MOST_VALUES} values or is too deep to"
    " keep. Ask for less."
)

SideEffect: TypeAlias = Literal["none", "read", "write"]
Call: TypeAlias = Callable[[ToolContext, Mapping[str, Any]], Any | Awaitable[Any]]


class ToolFailed(Exception):
    """A tool cannot do what it was asked; the sentence goes to the model."""


class UnknownTool(LookupError):
    """No tool of that name is registered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One thing an agent can do.

    `parameters` is a JSON Schema (2020-12) of an object. `call` takes the context and the checked
    arguments and returns something JSON-able; a plain function runs on a thread, a coroutine
    function on the loop. It raises ToolFailed, or a DomainError, with a sentence for the model.
    `idempotent` says whether a call whose outcome is unknown may be made again. A call of a tool
    with a `refusal` is not made, and the model reads that sentence; `needs_approval`: the journal
    is asked first. `is_external` ones call other services.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    call: Call
    timeout_seconds: float = 30
    idempotent: bool = False
    side_effect: SideEffect = "none"
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES
    is_external: bool = False
    needs_approval: bool = False
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Output:
    """What a tool returned, as plain JSON values. `whole` is all of it, as text, if it was cut."""

    value: Any
    whole: str = ""


class ToolRegistry:
    """The tools of this hub by name; each app adds its own in `AppConfig.ready`."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        self._blocking = BlockingCalls()
        for tool in tools:
            self.add(tool)

    def add(self, tool: Tool) -> None:
        """Register `tool`; raises ValueError for a taken name, SchemaError for a bad schema."""
        if tool.name in self._tools:
            raise ValueError(f"The tool {tool.name} is registered twice.")
        json_validation.check_schema(tool.parameters)
        self._tools[tool.name] = tool

    def get(self, name: str) -> Tool:
        """The tool called `name`; raises UnknownTool."""
        try:
            return self._tools[name]
        except KeyError:
            raise UnknownTool(name) from None

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._tools)

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that are not registered, in the order given."""
        return [name for name in names if name not in self._tools]

    async def invoke(self, name: str, context: ToolContext, arguments: Mapping[str, Any]) -> Output:
        """`make` the call of a registered tool; raises UnknownTool too."""
        return await self.make(self.get(name), context, arguments)

    async def make(
        self,
        tool: Tool,
        context: ToolContext,
        arguments: Mapping[str, Any],
        redact: Redact = as_it_is,
        *,
        is_checked: bool = False,
    ) -> Output:
        """Check, call, redact and bound; `tool` need not be registered, and arguments that were
        checked are not checked again.

        Raises ToolFailed for arguments that do not fit the schema and for a timeout, and whatever
        the tool raises. A blocking tool that timed out runs on in its thread, unheard; its place
        goes to another.
        """
        if wrong := "" if is_checked else misfit(tool, arguments):
            raise ToolFailed(wrong)
        limit = asyncio.timeout(tool.timeout_seconds)
        try:
            async with limit:
                output = await self._call(tool, context, arguments)
        except TimeoutError:
            if not limit.expired():
                raise
            raise ToolFailed(f"The tool did not end within {tool.timeout_seconds:g} s.") from None
        return bounded(output, tool.output_limit_bytes, redact)

    async def _call(self, tool: Tool, context: ToolContext, arguments: Mapping[str, Any]) -> Any:
        if inspect.iscoroutinefunction(tool.call):
            return await _contained(tool.call(context, arguments))
        # Not asyncio's default pool: name resolution waits there and must not starve.
        try:
            made = self._blocking.submit(tool.call, context, arguments)
        except ThreadsExhausted:
            raise ToolFailed("The tool cannot be used now: earlier calls of tools hang.") from None
        try:
            return await asyncio.wrap_future(made)
        except asyncio.CancelledError:
            self._blocking.abandon(made)
            raise


async def _contained(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except (SystemExit, KeyboardInterrupt) as error:
        raise contained(error) from None
    except asyncio.CancelledError as error:
        if (task := asyncio.current_task()) and task.cancelling():
            raise
        raise contained(error) from None


def misfit(tool: Tool, arguments: Mapping[str, Any]) -> str:
    """Why `arguments` do not fit the tool's schema, for the model; empty if they do."""
    fault = json_validation.fault_of(tool.parameters, arguments)
    return f"{MISFIT}{fault}." if fault else ""


def bounded(output: Any, limit: int = OUTPUT_LIMIT_BYTES, redact: Redact = as_it_is) -> Output:
    """`output` as plain JSON values, or as cut text when its JSON is longer than `limit` bytes.

    Raises ToolFailed for more values than the event loop can spare the time for.
    """
    try:
        json_validation.weigh(output)
    except TooLarge:
        raise ToolFailed(TOO_MUCH) from None
    # Before it is cut: of a secret that the cut goes through, nobody would recognise the rest.
    plain = redact(storable(output))
    text = plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
    raw = text.encode()
    if len(raw) <= limit:
        return Output(plain)
    note = f"… [cut: {len(raw)} bytes, of which the tool may return {limit}]"
    room = max(0, limit - len(note.encode()))
    whole = raw[:WHOLE_LIMIT_BYTES].decode(errors="ignore")
    return Output(raw[:room].decode(errors="ignore") + note, whole)


def storable(value: Any) -> Any:
    """`value` as JSON that PostgreSQL and orjson take: no NUL, no lone surrogate, no NaN, no
    integer beyond 64 bits, text keys."""
    if isinstance(value, str):
        if value.isascii():
            return value.replace("\x00", "")
        return value.encode(errors="replace").decode().replace("\x00", "")
    if isinstance(value, Mapping):
        return {storable(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [storable(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _storable_integer(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    return storable(str(value))


def _storable_integer(value: int) -> int | str:
    if -(2**63) <= value < 2**63:
        return value
    # Python refuses to write more than 4300 decimal digits, but not hexadecimal ones.
    return str(value) if value.bit_length() < 4096 else hex(value)
