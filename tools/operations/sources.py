"""Naming, changing and removing the servers that tools come from."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from audit import operations as audit
from kernel import jobs
from kernel.actors import Actor
from kernel.errors import DomainError, Invalid
from secrets_vault import choices as vault
from secrets_vault import selectors as secrets
from tools import choices
from tools.choices import SourceKind
from tools.clients import openapi
from tools.errors import SourceDisabled, SourceNameTaken, SourceNotFound
from tools.models import ToolSource
from tools.operations.reaching import PLACEHOLDER

CONFIGURATION: Final = (
    *("name", "kind", "url", "command", "document", "server_url", "headers"),
    *("include", "exclude", "is_enabled", "refresh_seconds"),
)
# Where it is, and what it is sent.
REACHED: Final = frozenset({"url", "command", "document", "server_url", "headers"})
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_OWN_HEADERS: Final = frozenset(
    {"accept-encoding", "connection", "content-length", "content-type", "host", "transfer-encoding"}
)
MOST_HEADERS: Final = 30
_CREDENTIAL: Final = re.compile(r"auth|cookie|key|password|secret|token", re.IGNORECASE)


@transaction.atomic
def create_source(
    *, organization_id: UUID, values: Mapping[str, Any], actor: Actor, now: datetime
) -> ToolSource:
    """Add a source; it is asked for its tools at once. Raises SourceNameTaken, or Invalid."""
    source = ToolSource(organization_id=organization_id, created_at=now, updated_at=now, **values)
    _check(source)
    source.next_refresh_at = now if source.is_enabled else None
    _write(source, force_insert=True)
    _record(source, "tool_source.create", actor, now, {"kind": source.kind})
    jobs.ring("tools.refresh_sources")
    return source


@transaction.atomic
def update_source(
    *,
    organization_id: UUID,
    source_id: UUID,
    values: Mapping[str, Any],
    actor: Actor,
    now: datetime,
) -> ToolSource:
    """Change a source; it is asked anew, and its tools are not called before it has answered where
    it is now. Raises SourceNotFound, SourceNameTaken, or Invalid.

    Its name and kind stay: they are part of the names of its tools.
    """
    source = _lock(organization_id, source_id)
    changed = {key: value for key, value in values.items() if getattr(source, key) != value}
    for fixed in {"name", "kind"} & changed.keys():
        raise Invalid.field(fixed, "It stays as it is. Make another source instead.")
    if not changed:
        return source
    for key, value in changed.items():
        setattr(source, key, value)
    _check(source)
    source.revision += 1
    if REACHED & changed.keys():
        source.reached_revision = source.revision
    source.next_refresh_at = now if source.is_enabled else None
    source.claimed_until = None
    source.updated_at = now
    _write(source)
    # Not what they hold: a header may be somebody's credential after all.
    _record(source, "tool_source.update", actor, now, {"fields": sorted(changed)})
    jobs.ring("tools.refresh_sources")
    return source


@transaction.atomic
def delete_source(*, organization_id: UUID, source_id: UUID, actor: Actor, now: datetime) -> None:
    """Remove a source with its tools and their policies. Raises SourceNotFound."""
    source = _lock(organization_id, source_id)
    _record(source, "tool_source.delete", actor, now, {"kind": source.kind})
    source.delete()


@transaction.atomic
def ask_again(*, organization_id: UUID, source_id: UUID, actor: Actor, now: datetime) -> ToolSource:
    """Have the source asked for its tools now. Raises SourceNotFound or SourceDisabled."""
    source = _lock(organization_id, source_id)
    if not source.is_enabled:
        raise SourceDisabled
    source.next_refresh_at = now
    source.save(update_fields=["next_refresh_at"])
    _record(source, "tool_source.refresh", actor, now, {})
    jobs.ring("tools.refresh_sources")
    return source


def _lock(organization_id: UUID, source_id: UUID) -> ToolSource:
    rows = ToolSource.objects.filter(organization_id=organization_id, pk=source_id)
    source = rows.select_for_update().first()
    if source is None:
        raise SourceNotFound
    return source


def _check(source: ToolSource) -> None:
    if not re.fullmatch(choices.NAME, source.name):
        raise Invalid.field("name", choices.NAME_RULE)
    if source.name in choices.RESERVED:
        raise Invalid.field("name", "The hub's own tools have this name. Choose another.")
    _check_address(source)
    _check_document(source)
    _check_headers(source)


def _check_address(source: ToolSource) -> None:
    for field in ("url", "server_url"):
        _check_url(field, getattr(source, field))
    is_command = source.kind == SourceKind.MCP and bool(source.command)
    is_pasted = source.kind == SourceKind.OPENAPI and bool(source.document)
    if bool(source.url) == (is_command or is_pasted):
        raise Invalid.field("url", "Send one of: url, command (MCP), document (OpenAPI).")
    if source.command and source.kind != SourceKind.MCP:
        raise Invalid.field("command", "Only an MCP server has a command.")
    if source.command and source.command not in settings.HUB_MCP_COMMANDS:
        raise Invalid.field(
            "command", "The hub's environment allows no such command (HUB_MCP_COMMANDS)."
        )
    if source.server_url and source.kind != SourceKind.OPENAPI:
        raise Invalid.field("server_url", "Only an OpenAPI service has one.")


def _check_url(field: str, url: str) -> None:
    if not url:
        return
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname)
        has_user = "@" in parts.netloc
    except ValueError:
        is_whole = has_user = False
    if not is_whole:
        raise Invalid.field(field, "Send an absolute http or https address.")
    if set("{}") & set(url):
        raise Invalid.field(field, "Send the whole address, without {variables}.")
    if has_user:
        raise Invalid.field(field, "Name no password in an address: use a header and the vault.")


def _check_document(source: ToolSource) -> None:
    if not source.document:
        return
    if source.kind != SourceKind.OPENAPI:
        raise Invalid.field("document", "Only an OpenAPI service has a document.")
    if len(source.document.encode()) > choices.MOST_DOCUMENT_BYTES:
        raise Invalid.field("document", f"Send at most {choices.MOST_DOCUMENT_BYTES} bytes.")
    try:
        openapi.parse(source.document)
    except DomainError as error:
        raise Invalid.field("document", error.detail) from None


def _check_headers(source: ToolSource) -> None:
    if source.command and source.headers:
        raise Invalid.field("headers", "A command has no headers.")
    if len(source.headers) > MOST_HEADERS:
        raise Invalid.field("headers", f"Send at most {MOST_HEADERS}.")
    for name, value in source.headers.items():
        _check_header(name, value)
    asked = {name for value in source.headers.values() for name in PLACEHOLDER.findall(value)}
    if wrong := sorted(name for name in asked if not re.fullmatch(vault.NAME, name)):
        raise Invalid.field("headers", f"{wrong[0][:64]!r} is no name of a secret.")
    missing = secrets.find_missing(organization_id=source.organization_id, names=asked)
    if missing:
        raise Invalid.field("headers", f"The vault has no secret {missing[0]}. Store it first.")


def _check_header(name: str, value: str) -> None:
    if not _HEADER.fullmatch(name) or name.lower() in _OWN_HEADERS:
        raise Invalid.field("headers", f"{name[:64]!r} cannot be set.")
    if not value.isascii() or not value.isprintable():
        raise Invalid.field("headers", f"The value of {name} holds what no header can.")
    if _CREDENTIAL.search(name) and not PLACEHOLDER.search(value):
        raise Invalid.field(
            "headers", f"Keep the value of {name} in the vault and name it as {{secret:name}}."
        )


def _write(source: ToolSource, **how: Any) -> None:
    try:
        with transaction.atomic():
            source.save(**how)
    except IntegrityError as error:
        if "tool_source_name_unique" in str(error):
            raise SourceNameTaken from None
        raise


def _record(
    source: ToolSource, action: str, actor: Actor, now: datetime, details: Mapping[str, Any]
) -> None:
    audit.record(
        actor=actor,
        organization_id=source.organization_id,
        action=action,
        resource_type="tool_source",
        resource_id=source.pk,
        details={"name": source.name, **details},
        now=now,
    )
