"""The system user the servers run as, and the doors it needs on its way to their files.

PostgreSQL refuses to run as root. Under root both servers therefore run as an unprivileged user,
who must be able to pass the parents of the data folder and of the server binaries. Those modes are
widened by `o+x` only where needed, written down for all hubs of this machine, and put back when
the last hub that needs them stops.
"""

import fcntl
import grp
import json
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil  # type: ignore[import-untyped]  # ships no types

from hub.embedded import processes
from hub.embedded.errors import ServerDidNotStart

PREFERRED: Final = "pgserver"  # The name the PostgreSQL wheel itself uses.
FALLBACK: Final = "nobody"
# {"<path>": {"mode": <as it was>, "widened": <as we left it>,
#             "needed_by": {"<server's home>": <starter's pid>}}}
Ledger = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class SystemUser:
    """Whom a server runs as; `changes` is false when that is the present user."""

    uid: int
    gid: int
    changes: bool

    def credentials(self) -> dict[str, Any]:
        """Arguments for Popen; none when the user stays the same."""
        if not self.changes:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path, *, mode: int) -> None:
        """Make this user the owner of `path`."""
        if self.changes:
            os.chown(path, self.uid, self.gid)
        path.chmod(mode)

    def may(self, path: Path, want: int) -> bool:
        """Whether this user has the `want` bits (4 read, 1 search or execute) on `path`."""
        found = path.stat()
        if found.st_uid == self.uid:
            return bool((found.st_mode >> 6) & want == want)
        if found.st_gid == self.gid:
            return bool((found.st_mode >> 3) & want == want)
        return bool(found.st_mode & want == want)


def choose() -> SystemUser:
    """The present user, or under root an unprivileged one, which is made if it can be."""
    if os.geteuid() != 0:
        return SystemUser(os.geteuid(), os.getegid(), changes=False)
    entry = _entry(PREFERRED) or _add(PREFERRED) or _entry(FALLBACK)
    if entry is None:
        raise ServerDidNotStart(
            "PostgreSQL does not run as root and this machine has no unprivileged user for it."
            " Start the hub as another user or run `useradd --system pgserver`."
        )
    return SystemUser(entry.pw_uid, entry.pw_gid, changes=True)


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _add(name: str) -> pwd.struct_passwd | None:
    useradd = shutil.which("useradd")
    if useradd is None:
        return None
    try:
        grp.getgrnam(name)
        group = ["--gid", name]
    except KeyError:
        group = ["--user-group"]
    command = [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", *group]
    subprocess.run([*command, name], check=False, capture_output=True)
    return _entry(name)


def open_way(user: SystemUser, *, home: Path, programs: list[Path]) -> None:
    """Let `user` reach the server's `home` and read and run the `programs` folders."""
    if not user.changes:
        return
    with _ledger() as ledger:
        for folder in {*home.parents, *(p for s in programs for p in s.parents)}:
            _need(ledger, folder, 1, user=user, home=home)
        for program in programs:
            for path in (program, *program.rglob("*")):
                want = 5 if path.stat().st_mode & stat.S_IXUSR else 4
                _need(ledger, path, want, user=user, home=home)


def close_way(home: Path) -> None:
    """Forget the needs of `home` and of servers that ended unseen; restore what nobody needs."""
    if os.geteuid() != 0:
        return
    with _ledger() as ledger:
        for name, entry in list(ledger.items()):
            needs = entry["needed_by"].items()
            entry["needed_by"] = {
                h: pid for h, pid in needs if h != str(home) and _is_in_use(Path(h), pid)
            }
            if not entry["needed_by"]:
                _restore(Path(name), entry)
                del ledger[name]


def _is_in_use(home: Path, starter: int) -> bool:
    # The starter counts too: between opening the way and the server's pid file lies its start.
    return psutil.pid_exists(starter) or processes.find_server(home) is not None


def _need(ledger: Ledger, path: Path, want: int, *, user: SystemUser, home: Path) -> None:
    entry = ledger.get(str(path))
    if entry is None:
        if user.may(path, want):
            return
        mode = stat.S_IMODE(path.stat().st_mode)
        entry = ledger[str(path)] = {"mode": mode, "widened": mode | want, "needed_by": {}}
    entry["needed_by"][str(home)] = os.getpid()
    if not user.may(path, want):
        path.chmod(entry["widened"])


def _restore(path: Path, entry: dict[str, Any]) -> None:
    # A mode that somebody has changed since is theirs: leave it.
    if path.exists() and stat.S_IMODE(path.stat().st_mode) == entry["widened"]:
        path.chmod(entry["mode"])


@contextmanager
def _ledger() -> Iterator[Ledger]:
    run = Path("/run")
    folder = (run if run.is_dir() else Path(tempfile.gettempdir())) / "agent-hub"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise ServerDidNotStart(f"{folder} belongs to somebody else. Remove it and try again.")
    descriptor = os.open(folder / "open-ways.json", os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            ledger: Ledger = json.loads(file.read() or "{}")
        except ValueError:
            ledger = {}
        try:
            yield ledger
        finally:
            file.seek(0)
            file.truncate()
            json.dump(ledger, file)
