"""Which test process runs what: one all whole hubs, from the beginning; both the rest, by file."""

from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # ships no types

# They wait more than they compute. Two hubs at a time would starve each other on two cores, and
# begun last, they would leave the other process with nothing to do for minutes.
HUBS: Final = ("tests/faults/", "tests/journeys/")


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """A unit of work is a file, or all that starts hubs."""

    def _split_scope(self, nodeid: str) -> str:
        return "hubs" if nodeid.startswith(HUBS) else nodeid.split("::", maxsplit=1)[0]


def hubs_first(items: list[pytest.Item]) -> None:
    """Put the tests that start hubs before the rest; nothing else moves."""
    items.sort(key=lambda item: not item.nodeid.startswith(HUBS))
