"""Journeys start whole hubs: they take longer than other tests."""

from pathlib import Path

import pytest

from tests.journeys import programs

collect_ignore = list(programs.left_out())
SECONDS = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each of them may take longer."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))
