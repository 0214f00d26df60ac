"""The tools of one run, and the names by which the model calls them."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic_ai.tools import ToolDefinition

from agents.runtime.spec import Redact, ToolContext, as_it_is
from agents.runtime.tools import Output, Tool, ToolRegistry

# What all providers take as a tool's name.
MAX_WIRE_NAME: Final = 64
_UNFIT: Final = re.compile(r"[^A-Za-z0-9_-]")


class Toolset:
    """Those that the run may use: its own, and of the hub's registry the ones it names."""

    def __init__(
        self,
        registry: ToolRegistry,
        names: Iterable[str],
        own: Iterable[Tool] = (),
        redact: Redact = as_it_is,
    ) -> None:
        """`missing` are the names that nobody has; `redact` goes over what calls bring."""
        self.redact = redact
        brought = {tool.name: tool for tool in own}
        asked = list(dict.fromkeys(names))
        unknown = set(registry.missing(asked)) - brought.keys()
        self.missing = [name for name in asked if name in unknown]
        self._registry = registry
        self._tools = {
            name: brought[name] if name in brought else registry.get(name)
            for name in asked
            if name not in unknown
        }
        self._wire = wire_names(list(self._tools))
        self._names = {wire: name for name, wire in self._wire.items()}

    def definitions(self) -> list[ToolDefinition]:
        """The tools as the model is told of them."""
        return [
            ToolDefinition(
                name=self._wire[tool.name],
                description=tool.description,
                parameters_json_schema=dict(tool.parameters),
            )
            for tool in self._tools.values()
        ]

    def name_of(self, wire: str) -> str:
        """The tool's own name, or the model's word for a tool that is not there."""
        return self._names.get(wire, wire)

    def wire_of(self, name: str) -> str:
        """The name by which the model knows `name`."""
        return self._wire.get(name) or _plain(name)

    def find(self, name: str) -> Tool | None:
        """The tool called `name`, if the run may use it."""
        return self._tools.get(name)

    def names(self) -> list[str]:
        """What the model may call, in order, in its words."""
        return list(self._wire.values())

    async def make(self, tool: Tool, context: ToolContext, arguments: Mapping[str, Any]) -> Output:
        """The call, as `ToolRegistry.make`; people were asked about checked arguments only."""
        return await self._registry.make(
            tool, context, arguments, self.redact, is_checked=tool.needs_approval
        )


def wire_names(names: Sequence[str]) -> dict[str, str]:
    """For each name one that every provider takes, no two the same.

    A name that fits stays as it is; of those that come out alike each gets a digest, so that it
    does not depend on the others which one is meant.
    """
    times = Counter(map(_plain, names))
    wire = {name: name for name in names if _plain(name) == name}
    # In this order, so that of two with one digest the same one gets another.
    for name in sorted(set(names) - wire.keys()):
        wire[name] = _wire_name(name, set(wire.values()), is_shared=times[_plain(name)] > 1)
    return {name: wire[name] for name in names}


def size_of(definitions: Sequence[ToolDefinition]) -> int:
    """Bytes of what the model is told of its tools."""
    return sum(
        len(json.dumps(tool.parameters_json_schema))
        + len((tool.description or "").encode())
        + len(tool.name)
        for tool in definitions
    )


def _plain(name: str) -> str:
    return _UNFIT.sub("_", name)[:MAX_WIRE_NAME]


def _wire_name(name: str, taken: Collection[str], *, is_shared: bool) -> str:
    wire = plain = _plain(name)
    times = int(is_shared)
    while times or wire in taken:
        # A source can name a tool as another one's digest would have it.
        digest = hashlib.sha256(name.encode() * max(1, times)).hexdigest()[:8]
        wire = f"{plain[: MAX_WIRE_NAME - 9]}_{digest}"
        if wire not in taken:
            break
        times += 1
    return wire
