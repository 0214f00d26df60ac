"""One hub for all fault tests: what one of them breaks must be mended before the next."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults import scene as scenery
from tests.faults.scene import Scene
from tests.journeys import hubs
from tests.peers.openai_server import openai_peer

SECONDS = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Faults and their mends take longer than other tests."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="package")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A hub that skips the welcome task."""
    folder = hubs.started_before(tmp_path_factory, "faults")
    with openai_peer(respond=scenery.respond) as peer:
        settings = scenery.settings_of(folder, peer)
        with hubs.serving(folder, **settings) as hub:
            made = Scene(hub, folder, peer, settings)
            with closing(made.api):
                yield made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was measured."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.line(f"{name}: {value}")
