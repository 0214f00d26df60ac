"""Asking sources for their tools, one process at a time for each, and swapping the catalogue."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q

from audit import operations as audit
from events import operations as events
from kernel import loop, tenancy
from kernel.actors import Actor
from tools import choices, selectors
from tools.clients import schemas
from tools.clients.endpoints import Described, Endpoint, Listing
from tools.errors import SourceFailed
from tools.models import CatalogTool, ToolSource
from tools.operations import reaching

log = structlog.get_logger(__name__)
BATCH: Final = 20
# Before the claim ends; and before PostgreSQL ends a transaction in which a person waits.
REFRESH_SECONDS: Final = 45
TEST_SECONDS: Final = 8
# What a source says anew; what a person decided is never among it.
DECLARED: Final = (
    *("source", "service_name", "description", "parameters", "binding", "declared_side_effect"),
    *("declared_idempotent", "declared_roles", "last_refreshed_at", "is_stale", "removed_at"),
    "updated_at",
)


@transaction.atomic
def claim_due(*, now: datetime) -> list[ToolSource]:
    """Sources that are to be asked now, of all organizations; nobody else asks them meanwhile."""
    due = (
        ToolSource.objects.filter(is_enabled=True, next_refresh_at__lte=now)
        .filter(Q(claimed_until=None) | Q(claimed_until__lte=now))
        .order_by("next_refresh_at")
        .select_for_update(skip_locked=True)[:BATCH]
    )
    claimed = list(due)
    until = now + timedelta(seconds=choices.CLAIM_SECONDS)
    for source in claimed:
        source.claimed_until = until
    ToolSource.objects.filter(pk__in=[source.pk for source in claimed]).update(
        claimed_until=until, updated_at=now
    )
    return claimed


async def refresh(source: ToolSource, *, clock: Callable[[], datetime]) -> None:
    """Ask a claimed source and write what it said, or that it said nothing usable."""
    with tenancy.organization(source.organization_id):
        try:
            endpoint = await loop.get().in_database(
                reaching.endpoint_of, source=source, now=clock()
            )
            listing = await _ask(endpoint, seconds=REFRESH_SECONDS)
        except SourceFailed as error:
            await loop.get().in_database(fail, source=source, reason=error.detail, now=clock())
        else:
            await loop.get().in_database(swap, source=source, listing=listing, now=clock())


def test_source(*, organization_id: UUID, source_id: UUID, actor: Actor, now: datetime) -> Listing:
    """What the source answers now; nothing of it is written.

    Raises SourceNotFound, SourceFailed or SourceRefuses.
    """
    source = selectors.get_source(organization_id=organization_id, source_id=source_id)
    audit.record(
        actor=actor,
        organization_id=organization_id,
        action="tool_source.test",
        resource_type="tool_source",
        resource_id=source.pk,
        details={"name": source.name},
        now=now,
    )
    endpoint = reaching.endpoint_of(source=source, now=now)
    answer = loop.get().submit(_answer(endpoint)).result()
    if isinstance(answer, SourceFailed):
        raise answer
    return answer


async def _answer(endpoint: Endpoint) -> Listing | SourceFailed:
    """A refusal is no bug, which is what the loop takes an exception of its tasks for."""
    try:
        return await _ask(endpoint, seconds=TEST_SECONDS)
    except SourceFailed as error:
        return error


@transaction.atomic
def swap(*, source: ToolSource, listing: Listing, now: datetime) -> bool:
    """Put what the source listed into the catalogue, all at once; False if the claim is lost.

    A tool that it no longer lists is gone; where a person had decided something it comes back with
    that. Any other refresh, or a change of the source, in between makes this one void.
    """
    held = _held(source)
    if held is None:
        return False
    tools = {f"{source.name}:{tool.name}": tool for tool in listing.tools}
    before = set(_present(source).values_list("tool_name", flat=True))
    CatalogTool.objects.bulk_create(
        [_row(source, name, tool, now) for name, tool in tools.items()],
        update_conflicts=True,
        unique_fields=["organization", "tool_name"],
        update_fields=DECLARED,
    )
    gone = _present(source).exclude(tool_name__in=tools)
    gone.filter(has_policy=False).delete()
    gone.update(removed_at=now, updated_at=now)
    is_news = held.is_stale or held.last_refreshed_at is None or before != tools.keys()
    held.last_refreshed_at, held.last_error, held.is_stale = now, "", False
    held.protocol, held.left_out = listing.protocol, listing.left_out
    _release(held, now)
    if is_news:
        _announce(held, now)
    return True


@transaction.atomic
def fail(*, source: ToolSource, reason: str, now: datetime) -> bool:
    """Keep the source's tools, marked as stale, and say why; False if the claim is lost."""
    held = _held(source)
    if held is None:
        return False
    log.warning("tools.source.failed", source=source.name, reason=reason)
    is_news = not held.is_stale
    held.last_error, held.is_stale = schemas.clean(reason)[:1_000], True
    _release(held, now)
    _present(source).update(is_stale=True, updated_at=now)
    if is_news:
        _announce(held, now)
    return True


async def _ask(endpoint: Endpoint, *, seconds: float) -> Listing:
    try:
        async with asyncio.timeout(seconds):
            listing = await reaching.list_tools(endpoint)
    except TimeoutError:
        raise SourceFailed("The tool source did not answer in time.") from None
    except SourceFailed as error:
        raise type(error)(reaching.redacted(error.detail, endpoint)) from None
    except Exception:  # whatever it sent, the source is not left without a word
        log.exception("tools.source.unreadable", source=endpoint.name)
        raise SourceFailed("The hub could not read what the tool source sent.") from None
    listing.tools = [_redacted(tool, endpoint) for tool in listing.tools]
    listing.left_out = reaching.redacted(listing.left_out, endpoint)
    return listing


def _redacted(tool: Described, endpoint: Endpoint) -> Described:
    if not endpoint.secrets:
        return tool
    return Described(
        name=tool.name,
        description=reaching.redacted(tool.description, endpoint),
        parameters=reaching.redacted(tool.parameters, endpoint),
        binding=tool.binding,
        side_effect=tool.side_effect,
        is_idempotent=tool.is_idempotent,
        roles=tool.roles,
    )


def _held(source: ToolSource) -> ToolSource | None:
    """The source's row, locked, if it is still as it was claimed."""
    return (
        ToolSource.objects.select_for_update()
        .filter(pk=source.pk, revision=source.revision, claimed_until=source.claimed_until)
        .first()
    )


def _present(source: ToolSource) -> Any:
    return CatalogTool.objects.filter(source_id=source.pk, removed_at=None)


def _release(held: ToolSource, now: datetime) -> None:
    held.claimed_until = None
    held.next_refresh_at = now + timedelta(seconds=held.refresh_seconds)
    held.updated_at = now
    held.save(
        update_fields=[
            *("claimed_until", "next_refresh_at", "last_refreshed_at", "last_error"),
            *("is_stale", "protocol", "left_out", "updated_at"),
        ]
    )


def _row(source: ToolSource, name: str, tool: Described, now: datetime) -> CatalogTool:
    return CatalogTool(
        organization_id=source.organization_id,
        source_id=source.pk,
        tool_name=name,
        service_name=source.name,
        description=tool.description,
        parameters=tool.parameters,
        binding=tool.binding,
        declared_side_effect=tool.side_effect,
        declared_idempotent=tool.is_idempotent,
        declared_roles=list(tool.roles),
        last_refreshed_at=now,
        created_at=now,
        updated_at=now,
    )


def _announce(source: ToolSource, now: datetime) -> None:
    organization_id: UUID = source.organization_id
    events.publish(
        organization_id=organization_id,
        type="tool_source.refreshed",
        data={"id": source.pk, "name": source.name, "is_stale": source.is_stale},
        now=now,
    )
