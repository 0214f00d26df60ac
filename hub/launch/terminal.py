"""What the person in front of `up` sees: steps with their seconds, plain text, colour on a tty."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, TextIO

COLOURS: Final = {"green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36, "dim": 2}
SECONDS_BETWEEN_LINES: Final = 5


class Terminal:
    """Writes lines; on a tty the running step is one line that counts its seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._tty = self._stream.isatty()
        self._label = ""
        self._since = 0.0

    def paint(self, colour: str, text: str) -> str:
        """`text` in a colour of `COLOURS`, where colour can be shown."""
        if not self._tty or "NO_COLOR" in os.environ:
            return text
        return f"\033[{COLOURS[colour]}m{text}\033[0m"

    def line(self, text: str = "") -> None:
        """One whole line, above the running step."""
        self._write(f"{self._erase()}{text}\n")
        self._redraw()

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        """Show what is going on and, at its end, how long it took."""
        self._label, self._since = label, time.monotonic()
        signal.signal(signal.SIGALRM, self._on_second)
        signal.setitimer(signal.ITIMER_REAL, 1, 1)
        self._redraw()
        try:
            yield
        except BaseException:
            self._end_step()
            raise
        seconds = time.monotonic() - self._since
        self._end_step()
        self.line(f"{self.paint('green', '✓')} {label} {self.paint('dim', f'{seconds:.1f} s')}")

    def _end_step(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._write(self._erase())
        self._label = ""

    def _on_second(self, _number: int, _frame: FrameType | None) -> None:
        seconds = round(time.monotonic() - self._since)
        if self._tty:
            self._redraw()
        elif seconds == 1 or seconds % SECONDS_BETWEEN_LINES == 0:
            self._write(f"  {self._label} … {seconds} s\n")

    def _redraw(self) -> None:
        if self._tty and self._label:
            seconds = round(time.monotonic() - self._since)
            counted = f" … {seconds} s" if seconds else " …"
            self._write(f"\r\033[K{self.paint('dim', '•')} {self._label}{counted}")

    def _erase(self) -> str:
        return "\r\033[K" if self._tty and self._label else ""

    def _write(self, text: str) -> None:
        # Straight to the descriptor: the clock interrupts anything, a buffered write included.
        with suppress(OSError):  # Whoever watched has gone; the hub goes on.
            os.write(self._stream.fileno(), text.encode(self._stream.encoding, errors="replace"))
