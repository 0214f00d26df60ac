"""What a client needs to know of a source, what it finds there, and plain HTTP with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import orjson

from kernel import json_schemas, outbound
from kernel.json_schemas import Budget, SchemaRefused
from kernel.outbound import OutboundFailed, OutboundPolicy, OutboundRefused, Reply
from tools import choices
from tools.choices import SideEffect
from tools.errors import SourceFailed, SourceRefuses

MOST_ANSWER_BYTES: Final = 1_000_000
MOST_ERROR_CHARACTERS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A source as it is reached now. `key` changes with everything that a connection depends on.

    `argv` is the command line of an MCP server; `headers` have their secrets filled in.
    """

    source_id: UUID
    name: str
    kind: str
    key: str
    policy: OutboundPolicy
    url: str = ""
    server_url: str = ""
    document: str = field(default="", repr=False)
    argv: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    # Values that came from the vault, and the names that stand for them in what is kept or shown.
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)

    def wants(self, name: str) -> bool:
        """Whether a tool of that name is to be in the catalogue."""
        if any(fnmatchcase(name, pattern) for pattern in self.exclude):
            return False
        return not self.include or any(fnmatchcase(name, pattern) for pattern in self.include)


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A tool as its source describes it; `name` is the source's own word for it."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    binding: Mapping[str, Any]
    side_effect: SideEffect
    is_idempotent: bool
    roles: tuple[str, ...] = ()


@dataclass(slots=True)
class Listing:
    """What a source has: tools, and those that cannot be used with the reason."""

    endpoint: Endpoint
    protocol: str
    tools: list[Described] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)
    budget: Budget = field(default_factory=Budget)

    def add(self, name: Any, describe: Callable[[], Described]) -> None:
        """A tool, if it is wanted and can be used; raises SourceRefuses when they are too many."""
        words = json_schemas.clean(name)[:128] if isinstance(name, str) else ""
        if words and not self.endpoint.wants(words):
            return
        if len(self.tools) + len(self.left_out) >= choices.MOST_TOOLS:
            raise SourceRefuses(
                f"The source has more than {choices.MOST_TOOLS} tools. Name those that you want"
                " in `include`."
            )
        try:
            if not words or words != name:
                raise SchemaRefused("its name is missing or longer than 128 characters")  # noqa: TRY301 - one way out
            self.tools.append(describe())
        except SchemaRefused as reason:
            self.left_out.append({"name": words, "reason": str(reason)[:300]})


def described(
    *, name: str, description: Any, schema: Any, budget: Budget, **other: Any
) -> Described:
    """A tool in the catalogue's terms; raises SchemaRefused. `budget` is the listing's."""
    words = description if isinstance(description, str) else ""
    return Described(
        name=name,
        description=json_schemas.clean(words[: choices.MOST_DESCRIPTION]),
        parameters=json_schemas.parameters({} if schema is None else schema, budget),
        **other,
    )


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of an address: to where credentials go; raises ValueError."""
    parts = urlsplit(url)
    standard = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or standard


async def ask(
    endpoint: Endpoint,
    method: str,
    url: str,
    *,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    seconds: float,
    max_bytes: int = MOST_ANSWER_BYTES,
) -> Reply:
    """One call that carries the source's headers and follows no redirect: they are for it alone.

    Raises SourceFailed when it cannot be reached or is at fault (5xx), SourceRefuses when it may
    not be reached.
    """
    sent = {"accept": "application/json, text/*;q=0.5", "user-agent": "AgentHub/1.0"}
    for given in (headers or {}, endpoint.headers):  # what a person configured comes last
        sent |= {name.lower(): value for name, value in given.items()}
    try:
        async with outbound.async_client(endpoint.policy, timeout_seconds=seconds) as client:
            reply = await outbound.fetch_async(
                client,
                method,
                url,
                headers=sent,
                content=content,
                max_bytes=max_bytes,
                deadline_seconds=seconds,
            )
    except OutboundRefused as error:
        raise SourceRefuses(error.detail) from None
    except OutboundFailed as error:
        raise SourceFailed(error.detail) from None
    if reply.status >= 500:
        raise SourceFailed(f"The tool source answered HTTP {reply.status}. Try again later.")
    return reply


def answer_of(reply: Reply) -> Any:
    """The JSON or text of a tool's answer; raises SourceRefuses for any status but 2xx."""
    if not 200 <= reply.status < 300:
        said = reply.text[:MOST_ERROR_CHARACTERS]
        raise SourceRefuses(f"The service answered HTTP {reply.status}: {said}")
    if "json" in reply.content_type and not reply.truncated:
        try:
            return orjson.loads(reply.body)
        except ValueError:
            raise SourceFailed("The service sent damaged JSON. Try again later.") from None
    cut = " [cut: the answer was longer than 1 MB]" if reply.truncated else ""
    return reply.text + cut


def document_of(reply: Reply) -> bytes:
    """The whole body of a document that was asked for; raises SourceFailed or SourceRefuses."""
    if not 200 <= reply.status < 300:
        raise SourceRefuses(
            f"The tool source answered HTTP {reply.status}. Check its address and credentials."
        )
    if reply.truncated:
        raise SourceFailed("The tool source sent more than the hub reads. Ask for less of it.")
    return reply.body
