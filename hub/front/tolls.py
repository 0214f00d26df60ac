"""What opening a socket, a stream or an export costs: one request, as everywhere in the API."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from django.conf import settings

from kernel.http import limits
from kernel.http.limits import Budget, RateLimited, Standing

P = ParamSpec("P")
T = TypeVar("T")


class Toll:
    """The request of one address: counted once, however long it is answered.

    Whatever asks Redis blocks: go through `database.ask`.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._is_counted = False
        self._standing: Standing | None = None

    def headers(self) -> dict[str, str]:
        """What the answer says of the budgets; nothing while nobody is counted."""
        return self._standing.headers() if self._standing else {}

    def check(self) -> None:
        """Raises RateLimited for an address that has to wait; asks nobody."""
        if waiting := limits.find_waiting(self._address):
            self._standing = waiting
            self._is_counted = True
            raise RateLimited.of(waiting)

    def charge(self, *callers: Budget) -> None:
        """Take the request from the budget of its address, unless that is done, and of its caller.

        Blocking. Raises RateLimited.
        """
        self._count(*callers)
        if self._standing is not None and self._standing.is_spent:
            raise RateLimited.of(self._standing)

    def through(self, question: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer to `question`, which charges its caller; whoever is refused before that is
        counted by address. Blocking."""
        try:
            return question(*args, **kwargs)
        finally:
            if not self._is_counted:
                self._count()

    def _count(self, *callers: Budget) -> None:
        due = [] if self._is_counted else limits.of_address(self._address)
        self._is_counted = True
        if settings.HUB_RATE_LIMITS:
            self._standing = limits.take([*due, *callers]) or self._standing
