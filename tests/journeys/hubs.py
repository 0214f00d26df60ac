"""Whole hubs as their users start them: `manage.py up` in a process of its own."""

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
SECONDS: Final = 180.0
EMAIL: Final = "admin@hub.example.com"
PASSWORD: Final = "A long walk along the harbour, 7 miles"
# Connection options of whoever looks at every organization's rows (`kernel.tenancy`).
EVERYTHING: Final = "-c hub.scope=*"
OUTSIDE: Final = ("HUB_", "DATABASE_URL", "REDIS_URL", "OPENAI_", "ANTHROPIC_", "GOOGLE_")


def environment(**settings: str) -> dict[str, str]:
    """This process's, without what would turn the hub elsewhere; the administrator is known."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(OUTSIDE)}
    # Tests ask more in a minute than people do.
    return {**kept, "HUB_ADMIN_PASSWORD": PASSWORD, "HUB_RATE_LIMITS": "off", **settings}


def run_once(data_dir: Path, *arguments: str, **settings: str) -> tuple[int, str]:
    """Exit code of `up` with everything it wrote."""
    done = subprocess.run(
        [sys.executable, "manage.py", "up", "--port=0", f"--data-dir={data_dir}", *arguments],
        cwd=ROOT,
        env=environment(**settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    return done.returncode, done.stdout


class Hub:
    """A serving hub."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--port=0", f"--data-dir={data_dir}"],
            cwd=ROOT,
            env=environment(**settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def url(self) -> str:
        """Where it said it runs; waits for that."""
        wait_for(lambda: "Ctrl-C stops it" in self.output or self.process.poll() is not None)
        found = re.search(r"is running at (\S+)", self.output)
        assert found, self.output
        return found[1]

    def family(self) -> list[psutil.Process]:
        """Every process it started, directly or not."""
        found: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        return found

    def member(self, word: str) -> psutil.Process:
        """The one child whose command line has `word`."""
        found = [p for p in self.family() if word in command_of(p)]
        assert len(found) == 1, (word, self.output)
        return found[0]

    def end(self, number: signal.Signals) -> int:
        """Signal the supervisor alone and return its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        self._reader.join(SECONDS)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.output += line


def command_of(process: psutil.Process) -> list[str]:
    """Its command line; nothing if it is gone by now."""
    try:
        found: list[str] = process.cmdline()
    except psutil.NoSuchProcess:
        return []
    return found


def started_before(factory: pytest.TempPathFactory, name: str) -> Path:
    """A data folder of a hub that has been started and stopped once, and skips the welcome task.

    One is made for all test processes and copied: what a first start does takes 15 s, and has
    tests of its own.
    """
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    original = shared / "started-before"
    with (shared / "started-before.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not original.exists():
            first = shared / "first-start"
            shutil.rmtree(first, ignore_errors=True)  # of a start that failed
            first.mkdir(mode=0o711)
            (first / "welcomed").touch()
            with serving(first) as hub:
                assert hub.url
            first.rename(original)
    # The servers' files keep their owner, who is not root.
    copy = factory.mktemp("hubs") / name
    subprocess.run(["cp", "-a", str(original), str(copy)], check=True)
    return copy


@contextmanager
def serving(data_dir: Path, **settings: str) -> Iterator[Hub]:
    """A hub that is ended with the block, unless the block did that."""
    hub = Hub(data_dir, **settings)
    try:
        yield hub
    finally:
        if hub.process.poll() is None:
            assert hub.end(signal.SIGTERM) == 0, hub.output


def wait_for(condition: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Return when `condition` holds; fails when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def all_gone(processes: list[psutil.Process]) -> bool:
    """Whether none of them runs."""
    return not any(_runs(process) for process in processes)


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False  # it went between the two looks
