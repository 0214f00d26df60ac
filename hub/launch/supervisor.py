"""The loop that keeps the children alive, collects their output and ends them in order."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import IO, Final, Protocol

from hub.launch.child import Child, is_loud
from hub.launch.errors import GaveUp
from hub.launch.terminal import Terminal

QUICK_DEATHS: Final = 5
COLOURS: Final = ("cyan", "magenta", "blue")
KILL_SECONDS: Final = 5.0  # What a child gets beyond its drain before it is killed.
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Somebody asked `up` to end; raised in the main thread, wherever it is."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


class Server(Protocol):
    """An embedded server: it may die too."""

    @property
    def running(self) -> bool:
        """Whether its process is alive."""

    def restart(self) -> None:
        """Bring it back at the address it had."""


class Supervisor:
    """Runs in the main thread alone: signals, pipes and restarts need no locks."""

    def __init__(self, terminal: Terminal, *, drain_seconds: float, verbose: bool) -> None:
        self._terminal = terminal
        self._drain_seconds = drain_seconds
        self._verbose = verbose
        self._children: list[Child] = []
        self._servers: dict[str, Server] = {}
        self._outputs = selectors.DefaultSelector()
        self._stopping = False
        self._hurry = False

    def listen(self) -> None:
        """Turn the first stop signal into `Stopped`; a second one during the stop hurries it."""
        for number in STOP_SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # `nohup` keeps its promise.
                signal.signal(number, self._on_signal)

    def watch(self, name: str, server: Server) -> None:
        """Bring this embedded server back when it dies."""
        self._servers[name] = server

    def start(self, children: Sequence[Child]) -> None:
        """Start all, held back until `release`, so that they load their code meanwhile."""
        for child in children:
            self._children.append(child)
            self._follow(child, child.start(held=True))

    def release(self) -> None:
        """Let the held children serve."""
        for child in self._children:
            child.release()

    def wait(self, done: Callable[[], bool], *, seconds: float = float("inf")) -> bool:
        """Keep everything going until `done` (true) or the seconds are over (false).

        Raises GaveUp when a child cannot be kept alive, Stopped on a signal.
        """
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                return False
            self._collect(0.1)
            self._revive()
        return True

    def run_beside(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a process that is expected to end, and return its code."""
        try:
            self.wait(lambda: process.poll() is not None)
        except BaseException:
            process.kill()
            process.wait()
            raise
        return process.returncode

    def stop(self) -> None:
        """End the children: asked first, killed when the drain is over or somebody hurries."""
        self._stopping = True
        if any(child.running for child in self._children):
            self._terminal.line("Stopping; once more to hurry.")
        for child in self._children:
            child.restart_at = None
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + self._drain_seconds + KILL_SECONDS
        while any(c.running for c in self._children):
            if self._hurry or time.monotonic() > deadline:
                break
            self._collect(0.05)
        for child in self._children:
            child.signal(signal.SIGKILL)
            child.close()
        self._outputs.close()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._stopping:
            self._hurry = True
            return
        self._stopping = True
        raise Stopped(number)

    def _follow(self, child: Child, output: IO[bytes]) -> None:
        os.set_blocking(output.fileno(), False)
        self._outputs.register(output, selectors.EVENT_READ, child)

    def _forget(self, child: Child) -> None:
        # Something that the dead child started may still hold its end of the pipe open.
        for key in [k for k in self._outputs.get_map().values() if k.data is child]:
            self._outputs.unregister(key.fileobj)

    def _collect(self, seconds: float) -> None:
        if not self._outputs.get_map():
            time.sleep(seconds)
        for key, _ in self._outputs.select(seconds):
            data = os.read(key.fd, 65536)
            if not data:
                self._outputs.unregister(key.fileobj)
                continue
            self._show(key.data, data)

    def _show(self, child: Child, data: bytes) -> None:
        lines = [x for x in child.receive(data) if self._verbose or is_loud(x)]
        colour = COLOURS[self._children.index(child) % len(COLOURS)]
        for line in lines:
            self._terminal.line(f"{self._terminal.paint(colour, f'{child.name:<9}')} {line}")

    def _revive(self) -> None:
        for name, server in self._servers.items():
            if not server.running:
                self._terminal.line(f"{name} ended unexpectedly; starting it again.")
                server.restart()
        now = time.monotonic()
        for child in self._children:
            if child.exit_code is not None and child.restart_at is None:
                self._mourn(child, now)
            elif child.restart_at is not None and now >= child.restart_at:
                self._forget(child)
                self._follow(child, child.start())

    def _mourn(self, child: Child, now: float) -> None:
        child.note_death(now)
        last = child.last_lines[-1] if child.last_lines else "it said nothing"
        what = f"{child.name} ended with code {child.exit_code}: {last.rstrip('.')}."
        if child.quick_deaths >= QUICK_DEATHS:
            raise GaveUp(f"Gave up after {QUICK_DEATHS} quick failures: {what} See {child.log}.")
        self._terminal.line(f"{what} Starting it again.")
