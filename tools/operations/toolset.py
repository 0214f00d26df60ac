"""Which of the tools that an agent names it is offered."""

import hashlib
import json
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
Refusal: TypeAlias = Callable[[CatalogTool], str]
GONE: Final = "It is not in the tool catalogue (any more)."
APPROVED_FROM_NOW_ON: Final = (
    "Since this run began, people have to approve each of its calls; only a new run can ask them."
)
# The call itself ends at the policy's time, and then the source is known to be at fault.
GRACE_SECONDS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedTool:
    """A tool as a run may use it; `name` is the catalogue's.

    `call` takes the organization and checked arguments, on the process's event loop, and raises
    ToolCallFailed; None for a built-in tool, which the runtime calls itself. A call of unknown
    outcome may be made again only if `idempotent`. `definition` stands for what its arguments mean
    and where they go; empty for a built-in one.
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
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Toolset:
    """What an agent is offered, and what it is not: names, each with a sentence that says why."""

    tools: tuple[OfferedTool, ...]
    left_out: Mapping[str, str]


def resolve(
    *,
    organization_id: UUID,
    names: Sequence[str],
    agent_id: UUID,
    user_id: UUID | None = None,
    author_ids: Sequence[UUID] = (),
) -> Toolset:
    """The tools called `names`, in their order, each once.

    Left out are those that nobody has, that are disabled, are for other agents, or need one of some
    roles while one of those who asked (`user_id`, and `author_ids` with them) holds none of these;
    a tool that needs a role is for nobody unknown.
    """
    asked = list(dict.fromkeys(names))
    rows = selectors.list_tools(organization_id=organization_id).filter(tool_name__in=asked)
    found = {row.tool_name: row for row in rows}
    needs_roles = any(row.effective_roles for row in found.values())
    people = (user_id, *author_ids)
    roles = _roles_of_each(organization_id, people) if needs_roles else []
    tools: list[OfferedTool] = []
    left_out: dict[str, str] = {}
    for name in asked:
        row, own = found.get(name), BUILTINS.get(name)
        if row is None and own is not None:
            # An organization of this moment has no rows of the built-in tools yet.
            tools.append(_plain(own))
        elif row is None or (row.source is None and own is None):
            left_out[name] = GONE
        elif why := _refusal(row, agent_id, roles):
            left_out[name] = why
        else:
            refusal = partial(
                _refusal_now, agent_id=agent_id, people=people, is_approved=row.needs_approval
            )
            tools.append(_offered(row, own, refusal))
    return Toolset(tuple(tools), left_out)


def _refusal(row: CatalogTool, agent_id: UUID, roles: Sequence[set[str]]) -> str:
    """Why the tool is not for the run; empty if it is."""
    if not row.is_enabled:
        return "It is disabled. Enable it in the tool catalogue."
    if row.source is not None and not row.source.is_enabled:
        return f"Its source {row.source.name} is disabled. Enable that."
    if row.allowed_agents and agent_id not in row.allowed_agents:
        return "It is for other agents. Add this one to its allowed_agents."
    needed = row.effective_roles
    # One person's role may be another than the next one's: any of them suffices.
    if needed and any(held.isdisjoint(needed) for held in roles):
        listed = ", ".join(needed)
        return f"Who asked for the run does not hold a role that it needs: {listed}."
    return ""


def _refusal_now(
    row: CatalogTool, *, agent_id: UUID, people: Sequence[UUID | None], is_approved: bool
) -> str:
    """Why a call of a tool that was offered may not be made any more; empty if it may.

    `is_approved`: its policy had people asked when it was offered.
    """
    needs_roles = bool(row.effective_roles)
    roles = _roles_of_each(row.organization_id, people) if needs_roles else []
    if why := _refusal(row, agent_id, roles):
        return why
    return APPROVED_FROM_NOW_ON if row.needs_approval and not is_approved else ""


def _roles_of_each(organization_id: UUID, people: Sequence[UUID | None]) -> list[set[str]]:
    """What each of them holds, in one query; nobody known (None) holds nothing."""
    held: dict[UUID | None, set[str]] = {each: set() for each in people}
    # A role for one project or environment says nothing about a tool.
    rows = RoleAssignment.objects.filter(
        organization_id=organization_id,
        user_id__in=[each for each in held if each is not None],
        scope={},
        user__is_active=True,
    )
    for user_id, role in rows.values_list("user_id", "role__name"):
        held[user_id].add(role)
    return list(held.values())


def _offered(row: CatalogTool, own: BuiltIn | None, refusal: Refusal) -> OfferedTool:
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
        call=None if is_own else partial(call_tool, tool_id=row.pk, refusal=refusal),
        definition=_definition(row),
    )


def _definition(row: CatalogTool) -> str:
    if row.source is None:
        return ""
    whole = [str(row.pk), row.parameters, row.binding, row.source.reached_revision]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


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
