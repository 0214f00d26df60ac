"""How a source is reached now: its address, its headers with the secrets filled in."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import orjson
from django.conf import settings

from kernel.errors import DomainError
from kernel.outbound import OutboundPolicy
from secrets_vault.operations.opening import open_secret
from tools.choices import SourceKind, breaker_of
from tools.clients import mcp, openapi, openapi_calls, services
from tools.clients.endpoints import Endpoint, Listing
from tools.errors import SourceRefuses
from tools.models import ToolSource

PLACEHOLDER: Final = re.compile(r"\{secret:([^{}]*)\}")
# Shorter values would blank out words that only look like them.
LEAST_REDACTED: Final = 6


def endpoint_of(*, source: ToolSource, now: datetime) -> Endpoint:
    """The source with its secrets; raises SourceRefuses when one of them cannot be used."""
    opened: dict[str, str] = {}

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if name not in opened:
            opened[name] = _open(source, name, now)
        return opened[name]

    headers = {name: PLACEHOLDER.sub(fill, value) for name, value in source.headers.items()}
    if wrong := [name for name, value in headers.items() if not _fits(value)]:
        raise SourceRefuses(f"The header {wrong[0]} holds what no header can. Rotate its secret.")
    plain = Endpoint(
        source_id=source.pk,
        name=source.name,
        kind=source.kind,
        key="",
        policy=OutboundPolicy(allowed_networks=settings.HUB_OUTBOUND_ALLOW),
        url=source.url,
        server_url=source.server_url,
        document=source.document,
        argv=_argv(source),
        include=tuple(source.include),
        exclude=tuple(source.exclude),
        headers=headers,
        secrets={value: name for name, value in opened.items() if len(value) >= LEAST_REDACTED},
    )
    depends_on = orjson.dumps([str(source.pk), source.revision, plain.argv, headers])
    return replace(plain, key=hashlib.sha256(depends_on).hexdigest())


async def list_tools(endpoint: Endpoint) -> Listing:
    """What the source has; raises SourceFailed or SourceRefuses."""
    if endpoint.kind == SourceKind.MCP:
        return await mcp.list_tools(endpoint)
    if endpoint.kind == SourceKind.OPENAPI:
        return await openapi.list_tools(endpoint)
    return await services.list_tools(endpoint)


async def call_tool(
    endpoint: Endpoint, binding: Mapping[str, Any], arguments: Mapping[str, Any], *, seconds: float
) -> Any:
    """The answer of one of its tools; raises ToolCallFailed, SourceFailed or SourceRefuses."""
    if endpoint.kind == SourceKind.MCP:
        return await mcp.call_tool(endpoint, binding, arguments, seconds=seconds)
    client = openapi_calls if endpoint.kind == SourceKind.OPENAPI else services
    return await client.call_tool(endpoint, binding, arguments, seconds=seconds)


def redacted(value: Any, endpoint: Endpoint) -> Any:
    """`value` with the vault's values blanked out: a server may send back what it was sent."""
    if not endpoint.secrets:
        return value
    if isinstance(value, str):
        for secret, name in endpoint.secrets.items():
            value = value.replace(secret, f"[secret:{name}]")
        return value
    if isinstance(value, Mapping):
        return {redacted(key, endpoint): redacted(each, endpoint) for key, each in value.items()}
    if isinstance(value, list):
        return [redacted(each, endpoint) for each in value]
    return value


def _open(source: ToolSource, name: str, now: datetime) -> str:
    try:
        return open_secret(
            organization_id=source.organization_id,
            name=name,
            purpose=breaker_of(source.name),
            now=now,
        )
    except DomainError as error:
        raise SourceRefuses(f"A header of the tool source needs a secret. {error.detail}") from None


def _fits(value: str) -> bool:
    return value.isascii() and (value.isprintable() or not value)


def _argv(source: ToolSource) -> tuple[str, ...]:
    if not source.command:
        return ()
    if source.command not in settings.HUB_MCP_COMMANDS:
        raise SourceRefuses(
            f"The hub's environment allows no command {source.command}. Ask the operator to list it"
            " in HUB_MCP_COMMANDS."
        )
    return tuple(settings.HUB_MCP_COMMANDS[source.command])
