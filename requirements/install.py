"""Install NAME.txt into an environment: `python requirements/install.py NAME [FOLDER]`.

The folder is .venv and is created when need be. Runs on the system's Python, so it imports the
standard library only.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / (sys.argv[2] if len(sys.argv) > 2 else ".venv")
PYTHON = VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
SECONDS_BETWEEN_LINES = 5.0


class Progress:
    """One line that is rewritten on a terminal; elsewhere a line every few seconds."""

    def __init__(self) -> None:
        self.started = self.shown = time.monotonic()
        self.tty = sys.stdout.isatty()

    def show(self, text: str, *, last: bool = False) -> None:
        now = time.monotonic()
        line = f"  {text} ({now - self.started:.0f} s)"
        if self.tty:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{line:<{width}.{width}}", end="\n" if last else "", flush=True)
        elif last or now - self.shown >= SECONDS_BETWEEN_LINES:
            self.shown = now
            print(line, flush=True)


def python_works() -> bool:
    """Whether .venv has an interpreter that starts: it does not after Python itself was removed."""
    try:
        asked = subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False)
    except OSError:
        return False
    return asked.returncode == 0


def create_environment(progress: Progress) -> None:
    progress.show(f"Creating {VENV.relative_to(ROOT)}")
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", VENV], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        sys.exit(f"\nCould not create {VENV}: {(made.stderr or made.stdout).strip()}")


def installed() -> int:
    return len(list(VENV.glob("lib/python*/site-packages/*.dist-info")))


def fetched(log: Path) -> int:
    lines = log.read_text(errors="replace").splitlines()
    return sum(line.startswith(("Collecting ", "Ignoring ", "Processing ")) for line in lines)


def install(lock: Path, progress: Progress) -> None:
    """Run pip with hashes; print its last lines and stop when it fails."""
    wanted = sum(
        "==" in line and line[0].isalnum() for line in lock.read_text().splitlines() if line
    )
    log = VENV / "install.log"
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    with log.open("w") as output:
        pip = subprocess.Popen(
            [*command, "--require-hashes", "--progress-bar", "off", "-r", lock],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        while pip.poll() is None:
            progress.show(f"Installing: {fetched(log)} of {wanted} fetched, {installed()} in place")
            time.sleep(0.2)
    if pip.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
        sys.exit(f"\npip could not install {lock.name}:\n{tail}\nThe whole log is {log}.")
    progress.show(f"Installed {wanted} packages into {VENV.relative_to(ROOT)}", last=True)


def main(name: str) -> None:
    progress = Progress()
    if not python_works():
        create_environment(progress)
    install(ROOT / "requirements" / f"{name}.txt", progress)
    (VENV / f"{name}.stamp").touch()


if __name__ == "__main__":
    main(sys.argv[1])
