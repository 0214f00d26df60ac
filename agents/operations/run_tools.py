"""The tools of one run: what the organization offers, under what the agent's version allows."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Final, TypeAlias
from uuid import UUID

import structlog

from agents import selectors
from agents.choices import AGENT_TOOL, AutonomyLevel
from agents.models import Agent, AgentExecution, AgentVersion
from agents.operations import catalogue, effective, registry
from agents.runtime.spec import ToolContext
from agents.runtime.tools import Call, Tool, ToolFailed
from tools.operations import toolset
from tools.operations.toolset import OfferedTool

log = structlog.get_logger(__name__)
AskAgent: TypeAlias = Callable[[UUID, ToolContext, str], Awaitable[str]]
"""Asks the agent of an id, on behalf of the run that calls; its answer. Raises ToolFailed."""

ABOUT_AGENT: Final = (
    "Ask the agent {} and get its answer as text. It knows nothing of this conversation but your"
    " prompt. {}"
)
PROMPT: Final = {
    "type": "object",
    "properties": {"prompt": {"type": "string", "minLength": 1, "maxLength": 200_000}},
    "required": ["prompt"],
    "additionalProperties": False,
}
# The agent's own limit ends it, or that of its caller.
AGENT_SECONDS: Final = 86_400
NO_AGENT: Final = "There is no agent called {} any more. Go on without it."
WITHDRAWN: Final = "The agent's present version or override no longer has it."
READ_ONLY: Final = "This agent may only read, and the tool {} changes something."
INSIDE: Final = "This agent may not call other services, and the tool {} does."
# What an organization says of its agents (contract 003 B2).
APPROVAL_RULE: Final = "require_approval_for"
INSIDE_RULE: Final = "block_external_api"


@dataclass(frozen=True, slots=True)
class RunTools:
    """Tools in the order in which the agent names them, by whose rule and of what definition calls
    are approved, why others are left out, and whether none may call other services."""

    tools: tuple[Tool, ...] = ()
    rules: Mapping[str, UUID | None] = field(default_factory=dict)
    definitions: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    is_inside: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Their names in the catalogue."""
        return tuple(tool.name for tool in self.tools)

    def may_repeat(self, name: str) -> bool:
        """Whether a call whose outcome is unknown may be made again. That of an agent goes on where
        its own run was, which knows what it does not know."""
        return name.startswith(AGENT_TOOL) or any(
            tool.name == name and tool.idempotent for tool in self.tools
        )


def read_tools(
    *,
    version: AgentVersion,
    names: Iterable[str],
    agent_name: str,
    newer: AgentVersion | None = None,
    user_id: UUID | None = None,
    author_ids: Sequence[UUID] = (),
    ask: AskAgent | None = None,
    is_inside: bool = False,
) -> RunTools:
    """Those of `names` that the agent can be offered now; the others are left out and logged.

    `newer` is the version that the agent has meanwhile, whose limits count too; what it, or the
    override of `agent_name`, no longer has is withdrawn. `user_id` and
    `author_ids` are who asked for the run, `ask` how it calls other agents, and `is_inside` that
    its caller may not call other services. One query, and one more each for roles and for agents.
    """
    versions = (version,) if newer is None else (version, newer)
    named = list(dict.fromkeys(names))
    asked = _still_allowed(named, newer, agent_name)
    found = toolset.resolve(
        organization_id=version.organization_id,
        names=[name for name in asked if not name.startswith(AGENT_TOOL)],
        agent_id=version.agent_id,
        user_id=user_id,
        author_ids=author_ids,
    )
    left_out = dict.fromkeys(set(named) - set(asked), WITHDRAWN) | dict(found.left_out)
    if left_out:
        log.warning("agents.tools.left_out", agent_id=str(version.agent_id), names=list(left_out))
    tools = {offered.name: _as_tool(offered) for offered in found.tools}
    tools |= _agents(version, asked, ask) if ask is not None else {}
    is_inside = is_inside or any(stays_inside(each) for each in versions)
    return RunTools(
        tools=tuple(
            _governed_by(versions, tools[name], is_inside=is_inside)
            for name in asked
            if name in tools
        ),
        rules={offered.name: offered.approval_rule_id for offered in found.tools},
        definitions={offered.name: offered.definition for offered in found.tools},
        left_out=left_out,
        is_inside=is_inside,
    )


def newer_version(version: AgentVersion) -> AgentVersion | None:
    """The one that the agent has now, if it is not `version`: what was withdrawn from the agent
    since is not to be had by going back to a version from before."""
    agents = Agent.objects.filter(organization_id=version.organization_id, pk=version.agent_id)
    current_id = agents.values_list("current_version_id", flat=True).first()
    if current_id is None or current_id == version.pk:
        return None
    return registry.load_versions([current_id])[current_id]


def may_repeat(*, execution: AgentExecution) -> Callable[[str], bool]:
    """Whether a call of the tool of that name may be made again; reads what it is asked about."""

    def ask(name: str) -> bool:
        if name.startswith(AGENT_TOOL):
            return True
        found = read_tools(
            version=execution.version,
            names=[name],
            agent_name=execution.agent_name,
            newer=newer_version(execution.version),
            user_id=execution.user_id,
            author_ids=execution.author_ids,
        )
        return found.may_repeat(name)

    return ask


def _still_allowed(
    names: Sequence[str], newer: AgentVersion | None, agent_name: str
) -> Sequence[str]:
    """Those of `names` that the agent has in its `newer` version, too."""
    if newer is None:
        return names
    now = effective.tools_of(version=newer, agent_name=agent_name)
    return [name for name in names if name in now]


def stays_inside(version: AgentVersion) -> bool:
    """Whether the agent may not call other services; then those that it calls may not either."""
    return bool((version.risk_rules or {}).get(INSIDE_RULE))


def _agents(version: AgentVersion, names: Iterable[str], ask: AskAgent) -> dict[str, Tool]:
    asked = [name for name in names if name.startswith(AGENT_TOOL)]
    found = selectors.find_called(organization_id=version.organization_id, names=asked)
    return {name: _as_agent_tool(name, found.get(name), ask) for name in asked}


def _as_agent_tool(name: str, agent: Agent | None, ask: AskAgent) -> Tool:
    async def call(context: ToolContext, arguments: Mapping[str, Any]) -> str:
        if agent is None:
            raise ToolFailed(NO_AGENT.format(called))
        return await ask(agent.pk, context, arguments["prompt"])

    called = name.removeprefix(AGENT_TOOL)
    return Tool(
        name=name,
        description=ABOUT_AGENT.format(called, agent.description if agent else "").strip(),
        parameters=PROMPT,
        call=call,
        timeout_seconds=AGENT_SECONDS,
        side_effect="write",
        refusal="" if agent else NO_AGENT.format(called),
    )


def _as_tool(offered: OfferedTool) -> Tool:
    policy: dict[str, Any] = {
        "timeout_seconds": offered.timeout_seconds,
        "output_limit_bytes": offered.output_limit_bytes,
        "side_effect": offered.side_effect,
        "idempotent": offered.idempotent,
        "needs_approval": offered.needs_approval,
    }
    if offered.call is None:
        return replace(catalogue.TOOLS.get(offered.name), **policy)
    return Tool(
        name=offered.name,
        description=offered.description,
        parameters=offered.parameters,
        call=_calling(offered.call),
        is_external=True,
        **policy,
    )


def _calling(remote: toolset.Call) -> Call:
    async def call(context: ToolContext, arguments: Mapping[str, Any]) -> Any:
        return await remote(context.organization_id, arguments)

    return call


def _governed_by(versions: Iterable[AgentVersion], tool: Tool, *, is_inside: bool) -> Tool:
    """`tool` as far as each of these versions lets the agent go."""
    for version in versions:
        tool = _governed(tool, version, is_inside=is_inside)
    return tool


def _governed(tool: Tool, version: AgentVersion, *, is_inside: bool) -> Tool:
    """`tool` as far as this version lets its agent go without asking."""
    rules: Mapping[str, Any] = version.risk_rules or {}
    writes = tool.side_effect == "write"
    refusal = tool.refusal
    if version.autonomy_level == AutonomyLevel.READ_ONLY and writes:
        refusal = READ_ONLY.format(tool.name)
    elif is_inside and tool.is_external:
        refusal = INSIDE.format(tool.name)
    asks = (
        (version.autonomy_level == AutonomyLevel.SUPERVISED and writes)
        or (version.autonomy_level == AutonomyLevel.CAUTIOUS and writes and not tool.idempotent)
        or any(fnmatchcase(tool.name, name) for name in rules.get(APPROVAL_RULE) or ())
    )
    return replace(tool, refusal=refusal, needs_approval=tool.needs_approval or asks)
