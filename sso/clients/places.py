"""How many requests may wait for providers at once: each costs a thread of the web process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final
from uuid import UUID

from sso.errors import ProviderBusy

PER_ORGANIZATION: Final = 2
PER_PROCESS: Final = 4
RETRY_SECONDS: Final = 5


class Places:
    """The places of one process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._taken: Counter[UUID | None] = Counter()

    @contextmanager
    def one(self, organization_id: UUID) -> Iterator[None]:
        """A place for the block; nobody waits for one. Raises ProviderBusy."""
        limits = ((organization_id, PER_ORGANIZATION), (None, PER_PROCESS))
        owners = [owner for owner, _ in limits]
        with self._lock:
            if any(self._taken[owner] >= most for owner, most in limits):
                raise ProviderBusy(data={"retry_after_seconds": RETRY_SECONDS})
            self._taken.update(owners)
        try:
            yield
        finally:
            with self._lock:
                self._taken.subtract(owners)
                self._taken += Counter()  # without those that have none
