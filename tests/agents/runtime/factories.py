"""A run in three lines."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from agents.runtime import engine
from agents.runtime.journal import GRANTED, ModelCall, ModelTurn, ToolCall, ToolResult, Verdict
from agents.runtime.provider_registry import ProviderRegistry
from agents.runtime.providers import ProviderSettings
from agents.runtime.spec import Guardrails, RunFailure, RunResult, RunSpec, ToolContext
from agents.runtime.tools import Tool, ToolRegistry
from tests.peers.model_server import KEY, ModelPeer

ORGANIZATION = UUID(int=1)
AGENT = UUID(int=2)
RUN = UUID(int=3)
CONTEXT = ToolContext(organization_id=ORGANIZATION, agent_id=AGENT, run_id=RUN)
TEXT_SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}


@dataclass
class Recorder:
    """A journal that keeps what it is told, and can break at the nth event of a name."""

    events: list[tuple[str, Any]] = field(default_factory=list)
    # By the call's argument "text": what is said about it.
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    break_at: str = ""
    error: Exception = field(default_factory=lambda: LookupError("The lease is lost."))

    async def model_failed(self, failure: RunFailure) -> None:
        self._note("failed", failure)

    async def model_request_started(self, call: ModelCall) -> None:
        self._note("request", call)

    async def text_delta(self, text: str) -> None:
        self._note("delta", text)

    async def model_answered(self, turn: ModelTurn) -> None:
        self._note("answered", turn)

    async def tool_started(self, call: ToolCall) -> None:
        self._note("started", call)

    async def tool_asked(self, call: ToolCall) -> Verdict:
        verdict = self.verdicts.get(call.arguments.get("text", ""), GRANTED)
        self._note("asked", call)
        if verdict is GRANTED:
            self._note("started", call)
        return verdict

    async def tool_refused(self, call: ToolCall, result: ToolResult) -> None:
        self._note("refused", result)

    async def tool_finished(self, result: ToolResult) -> None:
        self._note("finished", result)

    def names(self) -> list[str]:
        return [name for name, _ in self.events if name != "delta"]

    def of(self, name: str) -> list[Any]:
        return [value for event, value in self.events if event == name]

    def log(self) -> tuple[Mapping[str, Any], ...]:
        """What RunSpec.log takes."""
        return tuple(
            v.message for name, v in self.events if name in {"answered", "finished", "refused"}
        )

    def _note(self, name: str, value: Any) -> None:
        self.events.append((name, value))
        if name == self.break_at:
            raise self.error


async def shout(_context: ToolContext, arguments: Mapping[str, Any]) -> str:
    """The tool most tests use."""
    return str(arguments["text"]).upper()


def make_tool(name: str = "shout", call: Any = shout, **fields: Any) -> Tool:
    """A tool of one required text."""
    defaults = {"description": "Shouts.", "parameters": TEXT_SCHEMA, "idempotent": True}
    return Tool(name=name, call=call, **{**defaults, **fields})


def make_spec(**fields: Any) -> RunSpec:
    """A run at the `openai` peer, unless told otherwise."""
    guardrails = fields.pop("guardrails", {})
    defaults = {
        "run_id": RUN,
        "agent_name": "Guide",
        "provider": "openai",
        "model": "gpt-5.6-luna",
        "prompt": "Say hello.",
        "system_prompt": "Be brief.",
        "context": CONTEXT,
    }
    return RunSpec(**{**defaults, **fields}, guardrails=Guardrails(**guardrails))


@asynccontextmanager
async def registry(
    peer: ModelPeer | None, *, url: str = "", **settings: Any
) -> AsyncIterator[ProviderRegistry]:
    """A registry whose providers all live at `peer`, or at `url`; without both there are none."""
    url = peer.url if peer else url
    configured = {
        "openai": ProviderSettings(**{"api_key": KEY, "base_url": f"{url}/v1", **settings}),
        "anthropic": ProviderSettings(**{"api_key": KEY, "base_url": url, **settings}),
        "google": ProviderSettings(**{"api_key": KEY, "base_url": url, **settings}),
    }
    found = ProviderRegistry(configured if url else {})
    try:
        yield found
    finally:
        await found.aclose()


def run(
    peer: ModelPeer | None,
    spec: RunSpec,
    *tools: Tool,
    journal: Recorder | None = None,
    **settings: Any,
) -> RunResult:
    """Run `spec` on a loop of its own."""

    async def go() -> RunResult:
        async with registry(peer, **settings) as providers:
            return await engine.run(
                spec,
                providers=providers,
                tools=ToolRegistry(tools),
                journal=journal or Recorder(),
            )

    return asyncio.run(go())
