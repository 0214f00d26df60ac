"""Rate limits: how often one address, and one person or key, may ask in a minute (contract 003 B0).

The counting is one round trip to Redis a request, after it is known who asks. Without Redis nobody
is refused: limits protect the hub from a crowd, what protects data does not hang on them.
"""

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from redis.exceptions import NoScriptError, RedisError

from kernel import redis_client
from kernel.actors import Actor
from kernel.errors import DomainError
from kernel.http import addresses, problems

log = structlog.get_logger(__name__)
WINDOW_SECONDS: Final = 60
# An answer without a count is better than a late one.
TIMEOUT_SECONDS: Final = 0.3
SILENCE_SECONDS: Final = 3.0
PER_USER: Final = 300
MOST_REFUSED: Final = 10_000
# What is counted: the APIs of all four contracts, not pages, probes and files.
COUNTED: Final = ("/api/", "/v1/", "/agents/", "/tools", "/currentuser", "/permissions")
# Each of its pages asks an identity provider, so that links to it count like passwords.
SINGLE_SIGN_ON: Final = "/sso/"
# A count that has no end yet gets one, also if a process died between two commands.
_COUNT: Final = """
local found = {}
for index, key in ipairs(KEYS) do
  local count = redis.call('INCR', key)
  local left = redis.call('PTTL', key)
  if left < 0 then
    redis.call('PEXPIRE', key, ARGV[1])
    left = tonumber(ARGV[1])
  end
  found[index] = {count, left}
end
return found
"""
_DIGEST: Final = hashlib.sha1(_COUNT.encode(), usedforsecurity=False).hexdigest()
Handler = Callable[[HttpRequest], HttpResponse]


@dataclass(frozen=True, slots=True)
class Budget:
    """`limit` requests a minute for one `subject`: an address, a person, a key."""

    name: str
    subject: str
    limit: int

    @property
    def key(self) -> str:
        """Its name in Redis."""
        return f"hub:limit:{self.name}:{self.subject}"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a budget stands after a request. `reset_seconds` until it is whole again."""

    budget: Budget
    count: int
    reset_seconds: int

    @property
    def remaining(self) -> int:
        """Requests that are left."""
        return max(0, self.budget.limit - self.count)

    @property
    def is_spent(self) -> bool:
        """Whether the request that was counted last was one too many."""
        return self.count > self.budget.limit

    def headers(self) -> dict[str, str]:
        """What every answer of the API says of it."""
        return {
            "X-RateLimit-Limit": str(self.budget.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_seconds),
        }


class RateLimited(DomainError):
    """An address, a person or a key asked too often."""

    code = "rate.limited"
    status = 429
    message = "Too many requests. Try again in a minute."

    @classmethod
    def of(cls, standing: Standing) -> "RateLimited":
        """With the time to wait."""
        return cls(_sentence(standing), data={"retry_after_seconds": standing.reset_seconds})


class _Refused:
    """Addresses that spent their budget: they are refused without asking anybody, until it ends."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, Standing]] = {}

    def find(self, address: str) -> Standing | None:
        """How the address stands, if it has to wait."""
        until, standing = self._until.get(address, (0.0, None))
        left = until - time.monotonic()
        if standing is None or left <= 0:
            return None
        return Standing(standing.budget, standing.count, math.ceil(left))

    def add(self, standing: Standing) -> None:
        """Refuse it from now on."""
        if len(self._until) >= MOST_REFUSED:
            self._until.clear()
        until = time.monotonic() + standing.reset_seconds
        self._until[standing.budget.subject] = (until, standing)

    def clear(self) -> None:
        """Refuse nobody."""
        self._until.clear()


@dataclass(slots=True)
class _Silence:
    """Until when (monotonic seconds) this process does not ask Redis."""

    until: float = 0.0


_refused = _Refused()
_silence = _Silence()


def count(budgets: Sequence[Budget]) -> list[Standing]:
    """Take one request from each budget; empty while Redis does not answer. Blocking."""
    if not budgets or time.monotonic() < _silence.until:
        return []
    keys = [budget.key for budget in budgets]
    redis = redis_client.client(timeout_seconds=TIMEOUT_SECONDS)
    try:
        found: Any = _run(redis, keys)
    except RedisError as error:
        log.warning("kernel.limits.not_counted", error=type(error).__name__)
        _silence.until = time.monotonic() + SILENCE_SECONDS
        return []
    return [
        Standing(budget, made, max(1, math.ceil(left / 1000)))
        for budget, (made, left) in zip(budgets, found, strict=True)
    ]


def of_address(address: str, *, also: str = "") -> list[Budget]:
    """The budgets of an address (of IPv6 its /64): what it asks, and `also` one more (`login`).

    Empty while limits are off. Who has no address (a Unix socket) is not counted.
    """
    limits: Mapping[str, int] = settings.HUB_RATE_LIMITS
    names = [name for name in ("ip", also) if name in limits]
    subject = addresses.household(address)
    return [Budget(name, subject, limits[name]) for name in names if subject]


def of_caller(*, actor: Actor, most: int) -> Budget:
    """The budget of a person or a key, in which address ever."""
    return Budget(actor.type, actor.id, most)


def take(budgets: Sequence[Budget]) -> Standing | None:
    """As `count`: how the budget stands that has least left. An address that is spent is known
    from now on."""
    return _note(count(budgets))


def find_waiting(address: str) -> Standing | None:
    """How an address stands that has to wait, as far as this process knows; asks nobody."""
    return _refused.find(addresses.household(address)) if settings.HUB_RATE_LIMITS else None


class RateLimits:
    """Middleware: refuses addresses that have to wait, and tells everybody how they stand.

    Requests that reach a `HubViewSet` are counted there (`charge`), because it finds out who asks;
    what never gets so far (no such route, a token that is none) is counted here, by address. What
    the front answers without Django is counted by `hub.front.tolls`.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not settings.HUB_RATE_LIMITS or not _is_counted(request):
            return self.get_response(request)
        address = request.META.get("REMOTE_ADDR", "")
        if waiting := find_waiting(address):
            return _refusal(request, waiting)
        if _is_console_login(request):
            spent = _spent(of_address(address, also="login"))
            return _refusal(request, spent) if spent else self.get_response(request)
        response = self.get_response(request)
        standing = getattr(request, "standing", None)
        if standing is None:
            standing = take(of_address(address))
        for header, value in standing.headers().items() if standing else ():
            response.setdefault(header, value)
        return response


class Exempt:
    """What stands for a request that is not counted at all."""

    @staticmethod
    def headers() -> dict[str, str]:
        """Nothing to say."""
        return {}


class Limited:
    """Mixin of views that count their requests."""

    # False for machines with limits of their own (contract decisions 23).
    rate_limited: ClassVar[bool] = True
    # Action -> a further budget of the address, by name (`login`, `register`).
    rate_limits: ClassVar[Mapping[str, str]] = {}

    def charge(self, request: Any) -> None:
        """Take the request from the budgets of its address and of its caller.

        Raises RateLimited. Views call it when it is known who asks, and before anything else.
        """
        limits: Mapping[str, int] = settings.HUB_RATE_LIMITS
        asked: Any = request._request  # noqa: SLF001 - the middleware sees Django's own
        if not limits or not self.rate_limited:
            asked.standing = Exempt()
            return
        also = self.rate_limits.get(getattr(self, "action", ""), "")
        budgets = of_address(asked.META.get("REMOTE_ADDR", ""), also=also)
        actor = request.auth
        if actor is not None:
            most = getattr(getattr(request, "caller", None), "rate_limit", PER_USER)
            budgets.append(of_caller(actor=actor, most=most))
        asked.standing = standing = take(budgets) or Exempt()
        if isinstance(standing, Standing) and standing.is_spent:
            raise RateLimited.of(standing)


def _note(standings: Sequence[Standing]) -> Standing | None:
    """The one that leaves least; an address that spent its budget is remembered."""
    for standing in standings:
        if standing.is_spent and standing.budget.name == "ip":
            _refused.add(standing)
    # One that is spent before one that is merely empty, and of two the one that lasts longer.
    return min(
        standings,
        key=lambda one: (not one.is_spent, one.remaining, -one.reset_seconds),
        default=None,
    )


def _spent(budgets: Sequence[Budget]) -> Standing | None:
    worst = take(budgets)
    return worst if worst and worst.is_spent else None


def _run(redis: Any, keys: Sequence[str]) -> Any:
    arguments = (len(keys), *keys, WINDOW_SECONDS * 1000)
    try:
        return redis.evalsha(_DIGEST, *arguments)
    except NoScriptError:  # a server that was restarted
        return redis.eval(_COUNT, *arguments)


def _is_counted(request: HttpRequest) -> bool:
    return request.path.startswith(COUNTED) or _is_console_login(request)


def _is_console_login(request: HttpRequest) -> bool:
    if request.path.startswith(SINGLE_SIGN_ON):
        return True
    return request.method == "POST" and request.path.startswith(reverse("admin:login"))


def _sentence(standing: Standing) -> str:
    return f"Too many requests. Try again in {standing.reset_seconds} s."


def _refusal(request: HttpRequest, standing: Standing) -> HttpResponse:
    response = problems.answer(
        request, status=429, code=RateLimited.code, detail=_sentence(standing)
    )
    response["Retry-After"] = str(standing.reset_seconds)
    for header, value in standing.headers().items():
        response[header] = value
    return response
