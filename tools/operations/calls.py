"""One call of a source's tool: policy, breaker, secrets, the call, and what it showed."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
import structlog

from breakers.choices import Outcome
from breakers.errors import BreakerOpen
from breakers.operations import calls
from breakers.operations.calls import Permit
from kernel import clock, json_validation, loop, tenancy
from kernel.json_validation import TooLarge
from tools.choices import breaker_of
from tools.clients.endpoints import Endpoint
from tools.errors import SourceFailed, ToolCallFailed
from tools.models import CatalogTool
from tools.operations import reaching

log = structlog.get_logger(__name__)
CHANGED: Final = (
    "The source of the tool was changed and has not listed it since, so it was not called. Try"
    " again in a minute, or go on without it."
)
TOO_MUCH: Final = (
    "The tool was called, and its answer holds too many values, or is too deep, to keep. Ask for"
    " less."
)


@dataclass(frozen=True, slots=True)
class _Prepared:
    tool: CatalogTool
    endpoint: Endpoint
    permit: Permit


async def call_tool(
    organization_id: UUID,
    arguments: Mapping[str, Any],
    *,
    tool_id: UUID,
    refusal: Callable[[CatalogTool], str],
) -> Any:
    """The tool's answer, on the process's event loop; `arguments` fit its schema by now.

    The policy is read anew: a tool that was switched off during a run is not called, nor one of
    which `refusal` now says why not. Raises ToolCallFailed with a sentence for the model.
    """
    with tenancy.organization(organization_id):
        database = loop.get().in_database
        made = await database(_prepare, organization_id, tool_id, refusal, clock.now())
        outcome = Outcome.UNKNOWN
        try:
            outcome, answer = await _call(made, arguments)
        finally:
            # A call that is cancelled must not keep the place of a trial.
            told = database(calls.report, permit=made.permit, outcome=outcome, now=clock.now())
            await asyncio.shield(told)
    if isinstance(answer, ToolCallFailed):
        raise answer
    return answer


async def _call(made: _Prepared, arguments: Mapping[str, Any]) -> tuple[Outcome, Any]:
    """What the call says about the source, and its answer or the ToolCallFailed to raise."""
    tool = made.tool
    try:
        answer = _kept(
            await reaching.call_tool(
                made.endpoint, tool.binding, arguments, seconds=tool.timeout_seconds
            )
        )
    except ToolCallFailed as error:
        return Outcome.SUCCESS, ToolCallFailed(reaching.redacted(error.detail, made.endpoint))
    except SourceFailed as error:
        log.info("tools.call.failed", tool=tool.tool_name, code=error.code)
        outcome = Outcome.FAILURE if error.is_fault else Outcome.SUCCESS
        return outcome, ToolCallFailed(reaching.redacted(error.detail, made.endpoint))
    return Outcome.SUCCESS, reaching.redacted(answer, made.endpoint)


def _kept(answer: Any) -> Any:
    """`answer`, as text if looking at each of its values would hold up the event loop."""
    try:
        json_validation.weigh(answer)
    except TooLarge:
        try:
            return orjson.dumps(answer).decode()
        except TypeError:
            raise ToolCallFailed(TOO_MUCH) from None
    return answer


def _prepare(
    organization_id: UUID, tool_id: UUID, refusal: Callable[[CatalogTool], str], now: datetime
) -> _Prepared:
    rows = CatalogTool.objects.filter(organization_id=organization_id, pk=tool_id, removed_at=None)
    tool = rows.select_related("source").first()
    if tool is None or tool.source is None:
        raise ToolCallFailed("The tool is gone. Go on without it.")
    if not (tool.is_enabled and tool.source.is_enabled):
        raise ToolCallFailed("The tool was switched off. Go on without it.")
    if tool.awaits_refresh:
        raise ToolCallFailed(CHANGED)
    if why := refusal(tool):
        raise ToolCallFailed(f"The tool cannot be called any more. {why}")
    try:
        endpoint = reaching.endpoint_of(source=tool.source, now=now)
        name = breaker_of(tool.source.name)
        permit = calls.permit(organization_id=organization_id, name=name, now=now)
    except (SourceFailed, BreakerOpen) as error:
        raise ToolCallFailed(error.detail) from None
    return _Prepared(tool, endpoint, permit)
