"""The tools of one run: what the organization offers, under what the agent's version allows."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, Final
from uuid import UUID

import structlog

from agents.choices import AutonomyLevel
from agents.models import AgentExecution, AgentVersion
from agents.operations import catalogue
from agents.runtime.spec import ToolContext
from agents.runtime.tools import Call, Tool
from tools.operations import toolset
from tools.operations.toolset import OfferedTool

log = structlog.get_logger(__name__)
READ_ONLY: Final = "This agent may only read, and the tool {} changes something."
INSIDE: Final = "This agent may not call other services, and the tool {} does."
# What an organization says of its agents (contract 003 B2).
APPROVAL_RULE: Final = "require_approval_for"
INSIDE_RULE: Final = "block_external_api"


@dataclass(frozen=True, slots=True)
class RunTools:
    """Tools in the order in which the agent names them, and by whose rule calls are approved."""

    tools: tuple[Tool, ...] = ()
    rules: Mapping[str, UUID | None] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Their names in the catalogue."""
        return tuple(tool.name for tool in self.tools)

    def may_repeat(self, name: str) -> bool:
        """Whether a call whose outcome is unknown may be made again."""
        return any(tool.name == name and tool.idempotent for tool in self.tools)


def read_tools(
    *, version: AgentVersion, names: Iterable[str], user_id: UUID | None = None
) -> RunTools:
    """Those of `names` that the agent can be offered now; the others are left out and logged.

    `user_id` is who asked for the run. One query, or two where tools need roles.
    """
    found = toolset.resolve(
        organization_id=version.organization_id,
        names=list(names),
        agent_id=version.agent_id,
        user_id=user_id,
    )
    if found.missing or found.refused:
        log.warning(
            "agents.tools.left_out",
            agent_id=str(version.agent_id),
            missing=list(found.missing),
            refused=list(found.refused),
        )
    tools = [_governed(_as_tool(offered), version) for offered in found.tools]
    return RunTools(
        tools=tuple(tools),
        rules={offered.name: offered.approval_rule_id for offered in found.tools},
    )


def may_repeat(*, execution: AgentExecution) -> Callable[[str], bool]:
    """Whether a call of the tool of that name may be made again; reads what it is asked about."""

    def ask(name: str) -> bool:
        found = read_tools(version=execution.version, names=[name], user_id=execution.user_id)
        return found.may_repeat(name)

    return ask


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


def _governed(tool: Tool, version: AgentVersion) -> Tool:
    """`tool` as far as this version lets its agent go without asking."""
    rules: Mapping[str, Any] = version.risk_rules or {}
    writes = tool.side_effect == "write"
    refusal = ""
    if version.autonomy_level == AutonomyLevel.READ_ONLY and writes:
        refusal = READ_ONLY.format(tool.name)
    elif rules.get(INSIDE_RULE) and tool.is_external:
        refusal = INSIDE.format(tool.name)
    asks = (
        (version.autonomy_level == AutonomyLevel.SUPERVISED and writes)
        or (version.autonomy_level == AutonomyLevel.CAUTIOUS and writes and not tool.idempotent)
        or any(fnmatchcase(tool.name, name) for name in rules.get(APPROVAL_RULE) or ())
    )
    return replace(tool, refusal=refusal, needs_approval=tool.needs_approval or asks)
