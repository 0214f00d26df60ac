"""Programs that some journeys need and a machine may lack: those are left out, in the open."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest


def chromium() -> str | None:
    """The browser's path, if it is installed."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


def external_servers() -> tuple[str, str] | None:
    """The paths of `postgres` and `redis-server` from the system's packages, if both are there."""
    on_path = [Path(p) for p in (shutil.which("postgres"),) if p]
    postgres = on_path + sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    redis = shutil.which("redis-server")
    return (str(postgres[-1]), redis) if postgres and redis else None


# What a journey asks for of the above -> how to get it.
NEEDS: dict[Callable[[], object], str] = {
    chromium: "install chromium",
    external_servers: "install postgresql and redis-server",
}


@cache
def left_out() -> dict[str, str]:
    """The journey files that cannot run here, each with what would make it run."""
    missing = {f"programs.{find.__name__}(": mend for find, mend in NEEDS.items() if not find()}
    return {
        file.name: mend
        for file in sorted(Path(__file__).parent.glob("test_*.py"))
        for asked, mend in missing.items()
        if asked in file.read_text(encoding="utf-8")
    }


def report(terminal: pytest.TerminalReporter) -> None:
    """Name the left-out journeys above pytest's closing line."""
    if left_out():
        terminal.section("journeys left out")
    for name, mend in left_out().items():
        terminal.line(f"tests/journeys/{name}: {mend} to run it")
