"""One child process: its start, its log file, its end."""

import logging
import logging.handlers
import os
import re
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

ROOT: Final = Path(__file__).resolve().parents[2]
LOG_BYTES: Final = 10 * 1024 * 1024
LOG_FILES: Final = 3
QUICK_SECONDS: Final = 10.0
LONGEST_DELAY: Final = 30.0
LOUD: Final = re.compile(r"\[(warning|error|critical) *\]|\"level\": ?\"(warning|error|critical)\"")


def is_loud(line: str) -> bool:
    """Whether a log line is a warning or worse."""
    return LOUD.search(line) is not None


class _Log(logging.handlers.RotatingFileHandler):
    """A log that loses what it cannot write: a full disk must not flood the terminal."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Say nothing."""


class Child:
    """A process that serves until it is told to stop; `quick_deaths` counts its failed starts."""

    def __init__(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str], log_dir: Path
    ) -> None:
        self.name = name
        self.log = log_dir / f"{name}.log"
        self.quick_deaths = 0
        self.restart_at: float | None = None
        self.last_lines: deque[str] = deque(maxlen=20)
        self._command = command
        self._env = env
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._rest = b""
        log_dir.mkdir(mode=0o700, exist_ok=True)
        self._file = _Log(self.log, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8")

    def start(self, *, held: bool = False) -> IO[bytes]:
        """Start it and return its output; a held one loads its code and waits for `release`."""
        self._let_go()
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,  # The terminal's Ctrl-C is for the supervisor alone.
        )
        self._started = time.monotonic()
        self.restart_at = None
        if not held:
            self.release()
        assert self._process.stdout is not None  # noqa: S101 - for mypy: it was asked for above
        return self._process.stdout

    def release(self) -> None:
        """Let a held child go on."""
        stdin = self._process.stdin if self._process else None
        if stdin is not None and not stdin.closed:
            with suppress(BrokenPipeError):  # It died early; the supervisor sees that by itself.
                stdin.write(b"go\n")
                stdin.close()

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs or was never started."""
        return self._process.poll() if self._process else None

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def receive(self, data: bytes) -> list[str]:
        """Log what it printed and return its whole lines."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        texts = [line.decode(errors="replace").rstrip() for line in lines]
        for text in texts:
            self._file.handle(logging.makeLogRecord({"msg": text}))
        self.last_lines.extend(text for text in texts if text)
        return texts

    def note_death(self, now: float) -> None:
        """Plan the restart: at once after a long life, later and later after short ones."""
        quick = now - self._started < QUICK_SECONDS
        self.quick_deaths = self.quick_deaths + 1 if quick else 1
        self.restart_at = now + min(0.5 * 2 ** (self.quick_deaths - 1), LONGEST_DELAY)

    def signal(self, number: signal.Signals) -> None:
        """Signal the process; SIGKILL reaches everything it started too."""
        if self._process is None or (number != signal.SIGKILL and not self.running):
            return
        with suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)

    def close(self) -> None:
        """Let go of pipes and log after the end."""
        self._let_go()
        with suppress(OSError):  # The last lines may find the disk full.
            self._file.close()

    def _let_go(self) -> None:
        if self._process is None:
            return
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()
