"""Places where a process stops for as long as a test wants, so that it can be killed there.

While the file `hold` is in the folder, whoever comes to its place waits, and says so with the file
`held`: its process, and what else the test should know.
"""

import os
import time
from pathlib import Path

from tests.faults.effects.tool import FOLDER


def wish(hold: str) -> str:
    """What the test wrote into the file; empty without one."""
    file = _file(hold)
    return file.read_text() if file.exists() else ""


def wait(hold: str, held: str, *also: object) -> None:
    """Wait until the file is gone."""
    noted = _file(f"{held}.new")
    noted.write_text(" ".join(map(str, (os.getpid(), *also))))
    noted.rename(_file(held))  # whoever sees the file reads all of it
    while _file(hold).exists():
        time.sleep(0.02)
    _file(held).unlink(missing_ok=True)


def _file(name: str) -> Path:
    return Path(os.environ[FOLDER]) / name
