"""Journeys start whole hubs: they run one after another, beside the other tests."""

from pathlib import Path

import pytest

from tests.journeys import programs

collect_ignore = list(programs.left_out())
SECONDS = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One xdist worker takes them all: two hubs at a time would starve each other on two cores."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("journeys"))
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(SECONDS))
