"""Server processes: started so that they do not outlive their starter, found again if they do."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import psutil  # type: ignore[import-untyped]  # ships no types

PR_SET_PDEATHSIG: Final = 1
# Folder below the data folder: pid file in it, name of the process.
SERVERS: Final = {
    "postgres": ("postmaster.pid", "postgres"),
    "redis": ("redis.pid", "redis-server"),
}
ERROR_MARKS: Final = ("FATAL:", "ERROR:", "error:", "CommandError:")
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def spawn(
    command: Sequence[str],
    *,
    credentials: Mapping[str, Any],
    folder: Path,
    log: Path,
    farewell: signal.Signals,
) -> subprocess.Popen[bytes]:
    """Start a server in `folder`; its early output replaces `log`.

    On Linux the kernel sends it `farewell` when this process dies, however it dies.
    """
    log.parent.mkdir(mode=0o700, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,  # The terminal's Ctrl-C is for the supervisor alone.
            preexec_fn=_tether(farewell),  # noqa: PLW1509 - two system calls, no locks
            **credentials,
        )


def die_with_parent(farewell: signal.Signals, parent: int) -> None:
    """Ask the kernel to send this process `farewell` when its parent ends.

    Exits at once if `parent` has already gone. Does nothing where the kernel cannot do it.
    """
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, int(farewell), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def _tether(farewell: signal.Signals) -> Callable[[], None] | None:
    # The kernel watches the starting *thread*: tied to any but the main one, the server would
    # stop as soon as that thread ends.
    if _LIBC is None or threading.current_thread() is not threading.main_thread():
        return None
    parent = os.getpid()
    return lambda: die_with_parent(farewell, parent)


def find_server(home: Path) -> int | None:
    """The pid of the server that works in `home`, whoever started it."""
    pid_file, _ = SERVERS[home.name]
    try:
        first = (home / pid_file).read_text(errors="replace").split("\n", 1)[0].strip()
    except OSError:
        return None
    return int(first) if first.isdecimal() and is_server(int(first), home) else None


def is_server(pid: int, home: Path) -> bool:
    """Whether `pid` is the server of `home`, and not a program given its number since."""
    try:
        process = psutil.Process(pid)
        return bool(
            process.name() == SERVERS[home.name][1]
            and process.status() != psutil.STATUS_ZOMBIE
            and Path(process.cwd()) == home
        )
    except (psutil.Error, OSError):
        return False


def find_orphans(home: Path) -> list[int]:
    """The pids of all that works in `home`: a killed server's children may still be at it."""
    return [pid for pid in psutil.pids() if is_server(pid, home)]


def stop(
    pid: int, alive: Callable[[], bool], *, steps: Sequence[tuple[signal.Signals, float]]
) -> None:
    """Send each signal in turn and wait its seconds, until `alive` says no."""
    for number, seconds in steps:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not alive():
                return
            time.sleep(0.02)


def last_words(*logs: Path, otherwise: str) -> str:
    """The last error in the logs, later logs first, or else their last line."""
    lines = [line.strip() for log in logs for line in _lines(log) if line.strip()]
    for line in reversed(lines):
        for mark in ERROR_MARKS:
            if mark in line:
                return line.partition(mark)[2].strip().rstrip(".")
    return lines[-1].rstrip(".") if lines else otherwise


def _lines(log: Path) -> list[str]:
    try:
        return log.read_text(errors="replace").split("\n")
    except OSError:
        return []
