"""The hub on PostgreSQL and Redis of the operating system instead of its own."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from hub.embedded import processes, system_user
from hub.embedded.system_user import SystemUser
from tests.journeys import hubs, programs

ROLES = """
    CREATE ROLE owner LOGIN PASSWORD 'of the house';
    CREATE ROLE app LOGIN PASSWORD 'of its rows';
    CREATE DATABASE hub OWNER owner TEMPLATE template0 ENCODING 'UTF8';
"""


class External(NamedTuple):
    """Addresses of the two servers."""

    app_url: str
    owner_url: str
    superuser_url: str
    redis_url: str


@pytest.fixture(scope="module")
def external(tmp_path_factory: pytest.TempPathFactory) -> Iterator[External]:
    found = programs.external_servers()
    assert found, "conftest leaves this file out where they are missing"
    home, user = tmp_path_factory.mktemp("external"), system_user.choose()
    system_user.open_way(user, home=home / "postgres", programs=[])
    database = start_postgres(Path(found[0]).resolve().parent, home / "postgres", user)
    redis_port = hubs.free_port()
    command = [found[1], "--port", str(redis_port), "--requirepass", "bell", "--bind", "127.0.0.1"]
    cache = subprocess.Popen([*command, "--save", ""], stdout=subprocess.DEVNULL)
    hubs.wait_for(lambda: is_open(redis_port))

    host = f"?host={home / 'postgres'}"
    yield External(
        f"postgresql://app:of%20its%20rows@/hub{host}",
        f"postgresql://owner:of%20the%20house@/hub{host}",
        f"postgresql://postgres@/hub{host}",
        f"redis://:bell@127.0.0.1:{redis_port}/3",
    )

    cache.terminate()
    cache.wait()
    database.send_signal(signal.SIGINT)
    database.wait()
    system_user.close_way(home / "postgres")


def start_postgres(programs_dir: Path, home: Path, user: SystemUser) -> subprocess.Popen[bytes]:
    home.mkdir()
    user.own(home, mode=0o755)
    log = home.parent / "postgres.log"

    def start(*command: str) -> subprocess.Popen[bytes]:
        return processes.spawn(
            [str(programs_dir / command[0]), *command[1:]],
            credentials=user.credentials(),
            folder=home,
            log=log,
            farewell=signal.SIGKILL,
        )

    data = str(home / "data")
    assert start("initdb", "-D", data, "-U", "postgres", "--auth=trust", "-N").wait() == 0
    (home / "data" / "pg_hba.conf").write_text(
        "local all postgres trust\nlocal all all scram-sha-256\n"
    )
    server = start("postgres", "-D", data, "-k", str(home), "-c", "listen_addresses=")
    hubs.wait_for(lambda: can_connect(f"postgresql://postgres@/postgres?host={home}"))
    with psycopg.connect(
        f"postgresql://postgres@/postgres?host={home}", autocommit=True
    ) as superuser:
        for statement in ROLES.strip().splitlines():
            superuser.execute(statement)
    return server


def can_connect(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_hub_serves_from_them_as_an_ordinary_role(external: External, tmp_path: Path) -> None:
    code, output = hubs.run_once(
        tmp_path,
        "--once",
        DATABASE_URL=external.app_url,
        HUB_DATABASE_OWNER_URL=external.owner_url,
        REDIS_URL=external.redis_url,
    )

    assert code == 0, output
    assert not (tmp_path / "postgres").exists()
    assert not (tmp_path / "redis").exists()
    assert not (tmp_path / "connection.json").exists()
    with psycopg.connect(external.superuser_url) as superuser:
        owners = superuser.execute(
            "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        ).fetchall()
        finished = superuser.execute("SELECT status FROM tasks_task").fetchall()
    assert owners == [("owner",)]
    assert finished == [("completed",)]


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL"])
def test_wrong_credentials_are_one_line(external: External, tmp_path: Path, name: str) -> None:
    right = {"DATABASE_URL": external.app_url, "REDIS_URL": external.redis_url}
    wrong = right[name].replace("of%20its%20rows", "guess").replace("bell", "guess")

    code, output = hubs.run_once(tmp_path, **{**right, name: wrong})

    assert code == 2
    assert output.startswith(f"{name}: the server at ")
    assert output.endswith("refuses the user or password. Correct them.\n")
    assert output.count("\n") == 1
    assert "guess" not in output
