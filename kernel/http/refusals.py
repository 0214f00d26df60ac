"""Which refusals a route can answer, for the OpenAPI document.

They follow from what the view says of itself anyway: whether it takes a token, a body, an id, a
query, whether it asks for a fresh second factor, is limited, hands out a secret. What its operation
refuses for reasons of its own, the view names in `refusals`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from kernel.errors import DomainError, Invalid, NotFound, Unavailable
from kernel.http import idempotency, limits
from kernel.http.problems import MEDIA_TYPE, TITLES
from kernel.redaction import SecretInText

# What stands before every operation, by code. Those of accounts are named here because accounts is
# above the kernel; tests/contract holds the names true.
TOKEN: Final = ((401, "auth.required"), (401, "auth.token_refused"))
RIGHTS: Final = (
    (403, "permission.denied"),
    (403, "auth.address_refused"),
    (403, "auth.password_expired"),
    (403, "auth.mfa_enrollment_required"),
)
COOKIE: Final = ((403, "auth.csrf_refused"),)
STEP_UP: Final = ((401, "auth.step_up_required"), (412, "auth.mfa_enrollment_required"))
BODY: Final = (
    (400, "request.unreadable"),
    (400, "request.too_deep"),
    (413, "request.too_large"),
    (415, "request.unsupported_media_type"),
)
ANY: Final = ((400, "request.malformed"), (Unavailable.status, Unavailable.code))
SEED_004: Final = "AgentHubError"
HEADERS: Final[dict[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    423: ("Retry-After",),
    429: ("Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"),
    503: ("Retry-After",),
}


@dataclass(frozen=True, slots=True)
class Route:
    """What decides about an operation's refusals. `declared` are those of its own."""

    method: str
    takes_token: bool = True
    asks_step_up: bool = False
    has_id: bool = False
    has_query: bool = False
    has_body: bool = False
    is_limited: bool = True
    hands_out_secret: bool = False
    missing: type[DomainError] = NotFound
    declared: tuple[type[DomainError], ...] = ()
    shape: str = "Problem"

    def codes(self) -> dict[int, list[str]]:
        """Codes of the problems by status, both in order."""
        found: dict[int, set[str]] = {}
        for status, code in self._refusals():
            found.setdefault(status, set()).add(code)
        if self.shape == SEED_004:  # values are no class of their own there
            found.setdefault(400, set()).update(found.pop(422, ()))
        return {status: sorted(found[status]) for status in sorted(found)}

    def responses(self) -> dict[str, Any]:
        """The same for the document."""
        return {
            str(status): self._response(status, codes) for status, codes in self.codes().items()
        }

    def _refusals(self) -> Iterator[tuple[int, str]]:
        writes = self.method not in {"GET", "HEAD"}
        yield from ANY
        if self.takes_token:
            yield from (*TOKEN, *RIGHTS, *(COOKIE if writes else ()))
        if self.asks_step_up:
            yield from STEP_UP
        if self.has_body:
            yield from BODY
        yield from ((error.status, error.code) for error in self._errors())

    def _errors(self) -> Iterable[type[DomainError]]:
        if self.is_limited:
            yield limits.RateLimited
        if self.has_id:
            yield self.missing
        if self.has_id or self.has_query or self.has_body or self.method == "POST":
            yield Invalid
        if self.has_body and self.takes_token:
            yield SecretInText
        if self.method == "POST":
            yield from (idempotency.KeyReused, idempotency.InProgress)
            if self.hands_out_secret:
                yield idempotency.NotReplayable
        yield from self.declared

    def _response(self, status: int, codes: list[str]) -> dict[str, Any]:
        named = ", ".join(f"`{code}`" for code in codes)
        media = "application/json" if self.shape == SEED_004 else MEDIA_TYPE
        response: dict[str, Any] = {
            "description": f"{TITLES[status]}: {named}.",
            "content": {media: {"schema": {"$ref": f"#/components/schemas/{self.shape}"}}},
        }
        names = HEADERS.get(status, ())
        if status == 409 and idempotency.InProgress.code in codes:
            names = ("Retry-After",)
        if names:
            response["headers"] = {n: {"$ref": f"#/components/headers/{n}"} for n in names}
        return response
