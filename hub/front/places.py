"""How many exports may be under way at once: each reads the database as its client takes it."""

from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from kernel.errors import DomainError

PER_PERSON: Final = 2
PER_ORGANIZATION: Final = 4
PER_PROCESS: Final = 32
RETRY_SECONDS: Final = 60


class TooManyExports(DomainError):
    """A person, an organization or the process has as many under way as may be."""

    code = "audit.too_many_exports"
    status = 429
    message = "Too many exports are under way. Try again in a minute."


class Places:
    """The places of one process. Not thread-safe: for its event loop."""

    def __init__(self) -> None:
        self._taken: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        return self._taken[None]

    @contextmanager
    def one(self, *, organization_id: UUID, user_id: UUID) -> Iterator[None]:
        """A place for one export; whose own limit is spent hears of that, not of the process's.

        Raises TooManyExports.
        """
        limits = (
            (user_id, PER_PERSON, "of one person"),
            (organization_id, PER_ORGANIZATION, "of one organization"),
            (None, PER_PROCESS, "in one web process"),
        )
        for owner, most, words in limits:
            if self._taken[owner] >= most:
                raise TooManyExports(
                    f"{most} exports {words} are under way, and no more may be. Let one end first.",
                    data={"limit": most, "retry_after_seconds": RETRY_SECONDS},
                )
        owners = [owner for owner, _, _ in limits]
        self._taken.update(owners)
        try:
            yield
        finally:
            self._taken.subtract(owners)
            for owner in owners[:-1]:
                if not self._taken[owner]:
                    del self._taken[owner]
