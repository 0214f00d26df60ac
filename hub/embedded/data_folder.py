"""The data folder: who may read what in it, and the lock that makes one hub its owner."""

import errno
import fcntl
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from hub.embedded.errors import DataFolderInUse, DataFolderUnusable

LOCK_FILE = "lock"


def make(data_dir: Path) -> Path:
    """Create the folder, closed to other users, and return its real path.

    Raises DataFolderUnusable if it cannot be made or written to.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        folder = data_dir.resolve()
        if folder.stat().st_uid == os.geteuid():
            # Root's servers run as another user, who has to pass through this folder.
            folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        probe = folder / f".probe-{secrets.token_hex(4)}"
        probe.write_bytes(b"\0" * 4096)
        probe.unlink()
    except OSError as error:
        raise DataFolderUnusable(_why_unusable(data_dir, error)) from None
    return folder


def write_private(path: Path, text: str) -> None:
    """Replace `path` in one step by a file that only its owner can read, safe from a power cut."""
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    # The rename is in the folder: without this, an empty file could be left of it.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_json(path: Path) -> dict[str, Any]:
    """The object in `path`; empty if the file is missing or was only half written."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _why_unusable(data_dir: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"The disk of {data_dir} is full. Free some space or choose another --data-dir."
    if error.errno in {errno.EEXIST, errno.ENOTDIR}:
        return f"{data_dir} is not a folder. Remove that file or choose another --data-dir."
    reason = (error.strerror or "unknown error").lower()
    return f"Cannot write to {data_dir} ({reason}). Make it writable or choose another --data-dir."


class Lock:
    """An exclusive lock on a data folder, released by the kernel when its holder dies."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / LOCK_FILE
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock or raise DataFolderInUse with the holder's pid and URL."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise self._in_use() from None
        self._descriptor = descriptor
        self.describe(url="")

    def describe(self, *, url: str) -> None:
        """Leave the holder's pid and URL for whoever is refused."""
        if self._descriptor is None:
            return
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps({"pid": os.getpid(), "url": url}).encode(), 0)

    def release(self) -> None:
        """Give the lock back; the file stays, so that no two holders can lock two files."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def _in_use(self) -> DataFolderInUse:
        holder = read_json(self._path)
        where = f" at {holder['url']}" if holder.get("url") else ""
        who = f"pid {holder.get('pid', 'unknown')}"
        return DataFolderInUse(
            f"A hub already runs on {self._path.parent}{where} ({who})."
            " Stop it first or choose another --data-dir.",
            data=holder,
        )
