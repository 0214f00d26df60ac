"""Which of the tools that an agent names it is offered."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeAlias, cast
from uuid import UUID

from accounts.models import RoleAssignment
from tools import selectors
from tools.models import CatalogTool
from tools.operations.builtins import BUILTINS, BuiltIn
from tools.operations.calls import call_tool

Effect: TypeAlias = Literal["none", "read", "write"]
Call: TypeAlias = Callable[[UUID, Mapping[str, Any]], Awaitable[Any]]
# The call itself ends at the policy's time, and then the source is known to be at fault.
GRACE_SECONDS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedTool:
    """A tool as a run may use it; `name` is the catalogue's.

    `call` takes the organization and checked arguments, on the process's event loop, and raises
    ToolCallFailed; None for a built-in tool, which the runtime calls itself. A call of unknown
    outcome may be made again only if `idempotent`.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    timeout_seconds: float
    output_limit_bytes: int
    side_effect: Effect
    idempotent: bool
    needs_approval: bool = False
    approval_rule_id: UUID | None = None
    source_id: UUID | None = None
    call: Call | None = None


@dataclass(frozen=True, slots=True)
class Toolset:
    """What an agent is offered; `missing` names nobody has, `refused` are not for it now."""

    tools: tuple[OfferedTool, ...]
    missing: tuple[str, ...]
    refused: tuple[str, ...]


def resolve(
    *, organization_id: UUID, names: Sequence[str], agent_id: UUID, user_id: UUID | None = None
) -> Toolset:
    """The tools called `names`, in their order, each once.

    Refused are those that are disabled, are for other agents, or need a role that the person who
    asked (`user_id`) does not hold; a tool that needs a role is for nobody unknown.
    """
    asked = list(dict.fromkeys(names))
    rows = selectors.list_tools(organization_id=organization_id).filter(tool_name__in=asked)
    found = {row.tool_name: row for row in rows.select_related("source").defer("source__document")}
    needs_roles = any(row.effective_roles for row in found.values())
    roles = _roles_of(organization_id, user_id) if needs_roles else frozenset()
    tools: list[OfferedTool] = []
    missing: list[str] = []
    refused: list[str] = []
    for name in asked:
        row, own = found.get(name), BUILTINS.get(name)
        if row is None and own is not None:
            # An organization of this moment has no rows of the built-in tools yet.
            tools.append(_plain(own))
        elif row is None or (row.source is None and own is None):
            missing.append(name)
        elif _is_for(row, agent_id, roles):
            tools.append(_offered(row, own))
        else:
            refused.append(name)
    return Toolset(tuple(tools), tuple(missing), tuple(refused))


def _is_for(row: CatalogTool, agent_id: UUID, roles: frozenset[str]) -> bool:
    if not row.is_enabled or (row.source is not None and not row.source.is_enabled):
        return False
    if row.allowed_agents and agent_id not in row.allowed_agents:
        return False
    return not row.effective_roles or not roles.isdisjoint(row.effective_roles)


def _roles_of(organization_id: UUID, user_id: UUID | None) -> frozenset[str]:
    if user_id is None:
        return frozenset()
    # A role for one project or environment says nothing about a tool.
    rows = RoleAssignment.objects.filter(
        organization_id=organization_id, user_id=user_id, scope={}, user__is_active=True
    )
    return frozenset(rows.values_list("role__name", flat=True))


def _offered(row: CatalogTool, own: BuiltIn | None) -> OfferedTool:
    is_own = row.source is None
    return OfferedTool(
        name=row.tool_name,
        description=own.description if own and is_own else row.description,
        parameters=own.parameters if own and is_own else row.parameters,
        timeout_seconds=row.timeout_seconds if is_own else row.timeout_seconds + GRACE_SECONDS,
        output_limit_bytes=row.output_limit_bytes,
        side_effect=cast("Effect", row.effective_side_effect),
        idempotent=row.effective_idempotent,
        needs_approval=row.needs_approval,
        approval_rule_id=row.approval_rule_id,
        source_id=row.source_id,
        call=None if is_own else partial(call_tool, tool_id=row.pk),
    )


def _plain(own: BuiltIn) -> OfferedTool:
    return OfferedTool(
        name=own.name,
        description=own.description,
        parameters=own.parameters,
        timeout_seconds=own.timeout_seconds,
        output_limit_bytes=50_000,
        side_effect=own.side_effect,
        idempotent=own.is_idempotent,
    )
