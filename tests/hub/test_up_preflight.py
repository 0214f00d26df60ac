"""What `up` checks first: each fault is one sentence that says what to do, never a secret."""

import os
import shutil
import socket
import subprocess
import sys
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.embedded import postgres, redis
from hub.embedded.postgres import PostgresServer
from hub.embedded.redis import RedisServer
from hub.launch import preflight
from hub.launch.errors import CannotStart

ROOT = Path(__file__).resolve().parents[2]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = postgres.start(tmp_path_factory.mktemp("postgres"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = redis.start(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def refusal_of(monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> str:
    monkeypatch.setenv(name, url)
    with pytest.raises(CannotStart) as refusal:
        preflight.check_external_servers({name})
    return refusal.value.detail


def up(*arguments: str, **settings: str) -> tuple[int, str, str]:
    """Exit code, standard output and error of `manage.py up`."""
    kept = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
    done = subprocess.run(
        [sys.executable, "manage.py", "up", *arguments],
        cwd=ROOT,
        env={**kept, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_free_port_is_taken_as_it_is(closed_port: int) -> None:
    assert preflight.choose_port("127.0.0.1", closed_port) == closed_port


def test_port_0_takes_any_free_one() -> None:
    port = preflight.choose_port("127.0.0.1", 0)

    with socket.create_server(("127.0.0.1", port)) as server:
        assert server.getsockname()[1] == port


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_in_use_is_named(*, shared: bool) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, shared)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(CannotStart) as refusal:
            preflight.choose_port("127.0.0.1", port)

    assert refusal.value.detail == (
        f"Port {port} is already in use. Stop the program that listens there,"
        " or choose another port with --port (0 takes any free one)."
    )


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(CannotStart) as refusal:
        preflight.choose_port("192.0.2.1", 0)

    assert refusal.value.detail == (
        "Cannot listen on 192.0.2.1:0. Set HUB_BIND to an address of this machine."
    )


def test_a_full_disk_is_told_with_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # To fill a real disk would harm whatever else runs here.
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 2**40, 123 * 2**20))

    with pytest.raises(CannotStart) as refusal:
        preflight.check_room(tmp_path)

    assert refusal.value.detail == (
        f"Only 123 MB are free on the disk of {tmp_path}; the hub needs 300 MB."
        " Free some space or choose another --data-dir."
    )


def test_good_servers_pass(
    monkeypatch: pytest.MonkeyPatch, database: PostgresServer, cache: RedisServer
) -> None:
    monkeypatch.setenv("DATABASE_URL", database.url)
    monkeypatch.setenv("HUB_DATABASE_OWNER_URL", database.owner_url)
    monkeypatch.setenv("REDIS_URL", cache.url)

    preflight.check_external_servers({"DATABASE_URL", "HUB_DATABASE_OWNER_URL", "REDIS_URL"})


def test_an_absent_database_server_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    url = f"postgresql://hub:s3cr3t@127.0.0.1:{closed_port}/hub"

    assert refusal_of(monkeypatch, "DATABASE_URL", url) == (
        f"DATABASE_URL: no PostgreSQL server answers at 127.0.0.1:{closed_port}."
        " Start it, correct the address, or unset DATABASE_URL to use the embedded one."
    )


def test_a_wrong_database_password_is_told(
    monkeypatch: pytest.MonkeyPatch, database: PostgresServer
) -> None:
    url = database.url.replace(database.passwords["hub_app"], "s3cr3t")

    said = refusal_of(monkeypatch, "DATABASE_URL", url)

    assert said.endswith("refuses the user or password. Correct them.")
    assert "s3cr3t" not in said


def test_a_missing_database_is_told(
    monkeypatch: pytest.MonkeyPatch, database: PostgresServer
) -> None:
    url = database.url_of("hub_app", "missing")

    assert refusal_of(monkeypatch, "DATABASE_URL", url).endswith(
        'has no role or database "missing". Create it.'
    )


def test_a_wrong_owner_is_told_too(
    monkeypatch: pytest.MonkeyPatch, database: PostgresServer
) -> None:
    monkeypatch.setenv("DATABASE_URL", database.url)
    monkeypatch.setenv("HUB_DATABASE_OWNER_URL", database.url_of("hub_owner", "missing"))

    with pytest.raises(CannotStart, match=r"^HUB_DATABASE_OWNER_URL: "):
        preflight.check_external_servers({"DATABASE_URL", "HUB_DATABASE_OWNER_URL"})


def test_an_absent_redis_server_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    url = f"redis://:s3cr3t@127.0.0.1:{closed_port}/0"

    assert refusal_of(monkeypatch, "REDIS_URL", url) == (
        f"REDIS_URL: no Redis server answers at 127.0.0.1:{closed_port}."
        " Start it, correct the address, or unset REDIS_URL to use the embedded one."
    )


@pytest.mark.parametrize("credentials", ["", ":s3cr3t@"])
def test_a_wrong_redis_password_is_told(
    monkeypatch: pytest.MonkeyPatch, cache: RedisServer, credentials: str
) -> None:
    url = f"redis://{credentials}127.0.0.1:{cache.port}/0"

    assert refusal_of(monkeypatch, "REDIS_URL", url) == (
        f"REDIS_URL: the server at 127.0.0.1:{cache.port} refuses the user or password."
        " Correct them."
    )


def test_a_server_that_is_no_postgresql_is_told(
    monkeypatch: pytest.MonkeyPatch, cache: RedisServer
) -> None:
    url = f"postgresql://hub:s3cr3t@127.0.0.1:{cache.port}/hub"

    said = refusal_of(monkeypatch, "DATABASE_URL", url)

    assert said.startswith(f"DATABASE_URL: no PostgreSQL server answers at 127.0.0.1:{cache.port}.")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"HUB_COLOUR": "red"},
            "HUB_COLOUR is not a setting of Agent Hub; see docs/configuration.md for the list.\n",
        ),
        ({"HUB_PORT": "many"}, "HUB_PORT must be a whole number from 0 to 65535.\n"),
        (
            {"DATABASE_URL": "mysql://root:s3cr3t@db/hub"},
            "DATABASE_URL must start with postgres:// or postgresql://.\n",
        ),
    ],
)
def test_a_wrong_setting_is_one_line_and_code_2(
    tmp_path: Path, settings: dict[str, str], said: str
) -> None:
    assert up("--data-dir", str(tmp_path / "hub"), "--port", "0", **settings) == (2, "", said)
    assert not (tmp_path / "hub").exists()


def test_a_file_in_the_data_folders_place_is_one_line_and_code_2(tmp_path: Path) -> None:
    place = tmp_path / "hub"
    place.touch()

    assert up("--data-dir", str(place), "--port", "0") == (
        2,
        "",
        f"{place} is not a folder. Remove that file or choose another --data-dir.\n",
    )


def test_a_folder_that_cannot_be_made_is_one_line_and_code_2() -> None:
    # A place where even root may not write.
    assert up("--data-dir", "/proc/hub", "--port", "0") == (
        2,
        "",
        "Cannot write to /proc/hub (no such file or directory)."
        " Make it writable or choose another --data-dir.\n",
    )


def test_an_unreachable_server_is_told_before_anything_starts(
    tmp_path: Path, closed_port: int
) -> None:
    url = f"redis://127.0.0.1:{closed_port}/0"

    code, output, errors = up("--data-dir", str(tmp_path), "--port", "0", REDIS_URL=url)

    assert (code, output) == (2, "")
    assert errors.startswith(f"REDIS_URL: no Redis server answers at 127.0.0.1:{closed_port}.")
    assert errors.count("\n") == 1
    assert not (tmp_path / "postgres").exists()
