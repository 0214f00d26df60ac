"""Asking sources for their tools, one process at a time for each, and swapping the catalogue."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q

from audit import operations as audit
from events import operations as events
from kernel import json_schemas, loop, redaction, tenancy
from kernel.actors import SYSTEM, Actor
from kernel.redaction import Redactor
from tools import choices, selectors
from tools.choices import SideEffect
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
    *("declared_idempotent", "declared_roles", "listed_side_effect", "listed_idempotent"),
    *("source_revision", "last_refreshed_at", "is_stale", "removed_at", "updated_at"),
)
# Of one source: tools that are gone and may come back milder than they were.
MOST_REMEMBERED: Final = 1_000
MOST_NAMED: Final = 50
STRICTER: Final = (SideEffect.NONE, SideEffect.READ, SideEffect.WRITE)
# What is told of a tool that is no longer what it was.
TOLD: Final = {
    "said_side_effect": "side_effect",
    "said_idempotent": "is_idempotent",
    "declared_roles": "required_roles",
    "parameters": "parameters",
    "binding": "binding",
}


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
            veil = await loop.get().in_database(_veil_of, source, clock())
            listing = await _ask(veil, seconds=REFRESH_SECONDS)
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
    answer = loop.get().submit(_answer(_veil_of(source, now))).result()
    if isinstance(answer, SourceFailed):
        raise answer
    return answer


async def _answer(veil: "_Veil") -> Listing | SourceFailed:
    """A refusal is no bug, which is what the loop takes an exception of its tasks for."""
    try:
        return await _ask(veil, seconds=TEST_SECONDS)
    except SourceFailed as error:
        return error


@transaction.atomic
def swap(*, source: ToolSource, listing: Listing, now: datetime) -> bool:
    """Put what the source listed into the catalogue, all at once; False if the claim is lost.

    A tool that it no longer lists is gone; where a person had decided something it comes back with
    that. No tool gets milder by what its source says: it stays as strict as the source ever called
    it. Any other refresh, or a change of the source, in between makes this one void.
    """
    held = _held(source)
    if held is None:
        return False
    tools = {f"{source.name}:{tool.name}": tool for tool in listing.tools}
    before = set(_present(source).values_list("tool_name", flat=True))
    listed = CatalogTool.objects.filter(source_id=source.pk, tool_name__in=tools)
    known = {row.tool_name: row for row in listed.defer("description")}
    rows = [_row(source, name, tool, known.get(name), now) for name, tool in tools.items()]
    CatalogTool.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["organization", "tool_name"],
        update_fields=DECLARED,
    )
    gone = _present(source).exclude(tool_name__in=tools)
    gone.update(removed_at=now, updated_at=now)
    _forget(source)
    is_news = held.is_stale or held.last_refreshed_at is None or before != tools.keys()
    held.last_refreshed_at, held.last_error, held.is_stale = now, "", False
    held.protocol, held.left_out = listing.protocol, listing.left_out
    _release(held, now)
    _record_changes(
        held, [(known[row.tool_name], row) for row in rows if row.tool_name in known], now
    )
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
    held.last_error, held.is_stale = json_schemas.clean(reason[:1_000]), True
    _release(held, now)
    _present(source).update(is_stale=True, updated_at=now)
    if is_news:
        _announce(held, now)
    return True


@dataclass(frozen=True, slots=True)
class _Veil:
    """A source as it is reached now, and what takes secrets out of what it says."""

    endpoint: Endpoint
    redactor: Redactor

    def over(self, value: Any) -> Any:
        """`value` without the secrets that the source is sent, or that the organization has."""
        return self.redactor.redact(reaching.redacted(value, self.endpoint))

    def over_all(self, listing: Listing) -> None:
        """The same for all that was listed; a tool is left out whose call would depend on one."""
        listing.left_out = self.over(listing.left_out)
        found, listing.tools = listing.tools, []
        for tool in found:
            needed = [tool.name, tool.binding, list(tool.roles)]
            if self.over(needed) != needed:
                reason = "its name, its roles or its address hold the value of a secret"
                listing.left_out.append({"name": self.over(tool.name), "reason": reason})
                continue
            said = {"description": tool.description, "parameters": tool.parameters}
            listing.tools.append(replace(tool, **self.over(said)))


def _veil_of(source: ToolSource, now: datetime) -> _Veil:
    """Raises SourceRefuses."""
    endpoint = reaching.endpoint_of(source=source, now=now)
    return _Veil(endpoint, redaction.load(source.organization_id))


async def _ask(veil: _Veil, *, seconds: float) -> Listing:
    try:
        async with asyncio.timeout(seconds):
            listing = await reaching.list_tools(veil.endpoint)
            # Off the loop: it goes through all texts.
            await asyncio.to_thread(veil.over_all, listing)
    except TimeoutError:
        raise SourceFailed("The tool source did not answer in time.") from None
    except SourceFailed as error:
        raise type(error)(veil.over(error.detail)) from None
    except Exception as error:  # noqa: BLE001 - the source is not left without a word
        # Its class alone: the SDK's words repeat what was sent.
        log.warning("tools.source.unreadable", source=veil.endpoint.name, kind=type(error).__name__)
        raise SourceFailed("The hub could not read what the tool source sent.") from None
    return listing


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


def _row(
    source: ToolSource, name: str, tool: Described, known: CatalogTool | None, now: datetime
) -> CatalogTool:
    side_effect, is_idempotent = str(tool.side_effect), tool.is_idempotent
    if known is not None:
        side_effect = max(side_effect, known.declared_side_effect, key=STRICTER.index)
        is_idempotent = is_idempotent and known.declared_idempotent
    return CatalogTool(
        organization_id=source.organization_id,
        source_id=source.pk,
        tool_name=name,
        service_name=source.name,
        description=tool.description,
        parameters=tool.parameters,
        binding=tool.binding,
        declared_side_effect=side_effect,
        declared_idempotent=is_idempotent,
        declared_roles=list(tool.roles),
        listed_side_effect=tool.side_effect if tool.side_effect != side_effect else None,
        listed_idempotent=tool.is_idempotent if tool.is_idempotent != is_idempotent else None,
        source_revision=source.revision,
        last_refreshed_at=now,
        created_at=now,
        updated_at=now,
    )


def _forget(source: ToolSource) -> None:
    """Of tools that are gone and of which nobody decided anything, keep some that might come back
    and call themselves milder."""
    gone = CatalogTool.objects.filter(source_id=source.pk, has_policy=False)
    gone = gone.exclude(removed_at=None)
    gone.exclude(declared_side_effect=SideEffect.WRITE).filter(declared_idempotent=True).delete()
    late = gone.order_by("-removed_at", "pk").values_list("pk", flat=True)[MOST_REMEMBERED:]
    CatalogTool.objects.filter(pk__in=list(late)).delete()


def _record_changes(
    source: ToolSource, pairs: Iterable[tuple[CatalogTool, CatalogTool]], now: datetime
) -> None:
    """Tools that are not what they were: each before and after."""
    changed: list[dict[str, Any]] = []
    for old, new in pairs:
        fields = [field for field in TOLD if getattr(old, field) != getattr(new, field)]
        if fields:
            changed.append({"name": new.tool_name, "fields": [TOLD[field] for field in fields]})
    if not changed:
        return
    audit.record(
        actor=SYSTEM,
        organization_id=source.organization_id,
        action="tool_source.redeclare",
        resource_type="tool_source",
        resource_id=source.pk,
        details={"name": source.name, "count": len(changed), "tools": changed[:MOST_NAMED]},
        now=now,
    )
    events.publish(
        organization_id=source.organization_id,
        type="tool_source.redeclared",
        data={
            "id": source.pk,
            "name": source.name,
            "count": len(changed),
            "tools": [each["name"] for each in changed[:MOST_NAMED]],
        },
        now=now,
    )


def _announce(source: ToolSource, now: datetime) -> None:
    organization_id: UUID = source.organization_id
    events.publish(
        organization_id=organization_id,
        type="tool_source.refreshed",
        data={"id": source.pk, "name": source.name, "is_stale": source.is_stale},
        now=now,
    )
