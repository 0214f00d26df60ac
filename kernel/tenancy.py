"""Whose rows the running code may see: PostgreSQL enforces it behind the selectors.

Every statement carries the scope of its thread or asyncio task to the database
(`kernel.postgres`), where row-level security compares it with each row's organization. Without a
scope no tenant's row is seen or written: forgetting fails closed. Doors enter a scope: requests,
sockets and the console that of their caller, jobs that of their run, or the platform's.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final
from uuid import UUID

NOBODY: Final = ""
PLATFORM: Final = "*"

_scope: Final[ContextVar[str]] = ContextVar("tenancy_scope", default=NOBODY)


def scope() -> str:
    """NOBODY, PLATFORM, or the organization's id as text."""
    return _scope.get()


@contextmanager
def organization(organization_id: UUID) -> Iterator[None]:
    """Inside of it only the rows of one organization exist."""
    with _within(str(organization_id)):
        yield


@contextmanager
def platform() -> Iterator[None]:
    """Inside of it the rows of every organization exist.

    For what serves all of them (sweeps, claims, the relay), for finding out whose caller somebody
    is, and for commands that the operator types. Never around what a request asked for.
    """
    with _within(PLATFORM):
        yield


@contextmanager
def request() -> Iterator[None]:
    """One request: nobody's until `enter`, and whatever was entered ends with it."""
    with _within(NOBODY):
        yield


def enter(organization_id: UUID) -> None:
    """From here on, to the end of the surrounding `request`, only this organization's rows exist.

    For a door that finds out in the middle who calls.
    """
    _scope.set(str(organization_id))


@contextmanager
def _within(scope: str) -> Iterator[None]:
    token = _scope.set(scope)
    try:
        yield
    finally:
        _scope.reset(token)
