"""PostgreSQL from a wheel: who gets in, what they may do, and how it recovers."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from hub.embedded import postgres, processes
from hub.embedded.errors import DataFolderUnusable, ServerDidNotStart
from hub.embedded.postgres import PostgresServer

LEFT_BEHIND = """
import os, sys, threading
from pathlib import Path
from hub.embedded import postgres
# A thread that is not the main one: the kernel will not stop the server for us.
starter = threading.Thread(target=postgres.start, args=(Path(sys.argv[1]),))
starter.start()
starter.join()
os._exit(0)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    running = postgres.start(tmp_path_factory.mktemp("postgres"))
    with psycopg.connect(running.owner_url) as owner:
        owner.execute("CREATE TABLE jars (id bigserial PRIMARY KEY, label text NOT NULL)")
    yield running
    running.stop()


def test_the_app_role_reads_and_writes_rows_of_the_owners_tables(server: PostgresServer) -> None:
    with psycopg.connect(server.url) as app:
        app.execute("INSERT INTO jars (label) VALUES ('honey'), ('mustard')")
        app.execute("UPDATE jars SET label = 'plum' WHERE label = 'honey'")
        app.execute("DELETE FROM jars WHERE label = 'mustard'")

        assert app.execute("SELECT label FROM jars").fetchall() == [("plum",)]


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE jars",
        "ALTER TABLE jars ADD COLUMN price int",
        "DROP TABLE jars",
        "CREATE TABLE lids (id int)",
        "CREATE TEMPORARY TABLE lids (id int)",
        "CREATE ROLE intruder",
        "SET ROLE hub_owner",
        "COPY jars TO PROGRAM 'cat'",
    ],
)
def test_the_app_role_has_rows_and_nothing_else(server: PostgresServer, statement: str) -> None:
    with psycopg.connect(server.url) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(statement)


def test_only_the_superuser_has_powers(server: PostgresServer) -> None:
    with psycopg.connect(server.superuser_url) as root:
        found = root.execute(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles"
            " WHERE rolname LIKE 'hub%' ORDER BY 1"
        ).fetchall()

    assert found == [
        ("hub_app", False, False, False, False),
        ("hub_owner", False, False, True, False),
    ]


def test_the_database_is_utf8_with_a_locale_of_its_own_and_vectors(server: PostgresServer) -> None:
    with psycopg.connect(server.url) as app:
        row = app.execute(
            "SELECT pg_encoding_to_char(encoding), datlocprovider, datlocale,"
            " lower('ÄÖ'), '[1,2]'::vector::text FROM pg_database WHERE datname = 'hub'"
        ).fetchone()

    assert row == ("UTF8", "b", "C.UTF-8", "äö", "[1,2]")


def test_a_database_made_by_the_owner_has_the_same_privileges(server: PostgresServer) -> None:
    with psycopg.connect(server.owner_url, autocommit=True) as owner:
        owner.execute("CREATE DATABASE test_hub")
    with psycopg.connect(server.url_of("hub_owner", "test_hub")) as owner:
        owner.execute("CREATE TABLE jars (id serial PRIMARY KEY, label text)")

    with psycopg.connect(server.url_of("hub_app", "test_hub")) as app:
        added = app.execute("INSERT INTO jars (label) VALUES ('honey') RETURNING id").fetchone()
    assert added == (1,)


def test_nobody_enters_without_the_password(server: PostgresServer) -> None:
    for role in postgres.ROLES:
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://{role}@/hub?host={server.socket_dir}")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(f"postgresql://{role}:guess@/hub?host={server.socket_dir}")


def test_the_server_listens_on_no_network_address(server: PostgresServer) -> None:
    with psycopg.connect(server.url) as app:
        assert app.execute("SHOW listen_addresses").fetchone() == ("",)


def test_passwords_and_data_are_closed_to_other_users(server: PostgresServer) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert mode(server.data_dir / "postgres.json") == 0o600
    assert mode(server.data_dir / "postgres") == 0o700
    assert mode(server.data_dir) == (0o711 if os.geteuid() == 0 else 0o700)


def test_data_survives_a_stop(tmp_path: Path) -> None:
    first = postgres.start(tmp_path)
    with psycopg.connect(first.owner_url) as owner:
        owner.execute("CREATE TABLE jars AS SELECT 7 AS id")
    first.stop()

    assert not first.running

    again = postgres.start(tmp_path)
    with psycopg.connect(again.url) as app:
        assert app.execute("SELECT id FROM jars").fetchone() == (7,)
    again.stop()
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()


@pytest.mark.parametrize("name", ["a b'c\"ü", "deep/" + "x" * 90])
def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    server = postgres.start(tmp_path / name)

    with psycopg.connect(server.url) as app:
        assert app.execute("SELECT current_user").fetchone() == ("hub_app",)
    server.stop()
    assert not list(server.socket_dir.glob(".s.PGSQL*"))


def test_a_half_made_data_folder_is_made_again(tmp_path: Path) -> None:
    making = tmp_path / "postgres.making" / "data"
    making.mkdir(parents=True)
    (making / "PG_VERSION").write_text("18\n")

    server = postgres.start(tmp_path)

    assert server.running
    server.stop()
    assert not making.parent.exists()


def test_a_half_made_set_of_roles_is_completed(tmp_path: Path) -> None:
    server = postgres.start(tmp_path)
    server.stop()
    (tmp_path / "postgres" / "hub.provisioned").unlink()

    server = postgres.start(tmp_path)

    psycopg.connect(server.url).close()
    server.stop()


def test_a_server_left_behind_is_replaced(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", LEFT_BEHIND, str(tmp_path)], check=True)
    orphan = processes.find_server(tmp_path / "postgres")
    assert orphan is not None

    server = postgres.start(tmp_path)

    psycopg.connect(server.url).close()
    assert not processes.is_server(orphan, tmp_path / "postgres")
    assert processes.find_server(tmp_path / "postgres") == server.process.pid
    server.stop()


def test_a_killed_server_is_recovered(tmp_path: Path) -> None:
    first = postgres.start(tmp_path)
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()

    server = postgres.start(tmp_path)

    psycopg.connect(server.url).close()
    server.stop()


def test_a_killed_server_whose_child_is_busy_is_recovered(tmp_path: Path) -> None:
    first = postgres.start(tmp_path)
    with closing(psycopg.connect(first.url)) as client:
        # It never waits for anything, so it does not see that its postmaster has gone.
        client.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 1000000000000)")
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()

        first.restart()

    psycopg.connect(first.url).close()
    first.stop()


def test_a_pid_file_whose_number_belongs_to_another_program_is_ignored(tmp_path: Path) -> None:
    first = postgres.start(tmp_path)
    pid_file = tmp_path / "postgres" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    first.stop()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:], ""]))

    server = postgres.start(tmp_path)

    psycopg.connect(server.url).close()
    server.stop()


@pytest.mark.parametrize("content", ["", "not a number\n", "999999999\n", "\xff\0"])
def test_a_damaged_pid_file_is_ignored(tmp_path: Path, content: str) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "postmaster.pid").write_text(content, encoding="latin-1")

    server = postgres.start(tmp_path)

    assert server.running
    server.stop()


def test_a_cluster_without_its_version_is_refused_and_kept(tmp_path: Path) -> None:
    first = postgres.start(tmp_path)
    with psycopg.connect(first.owner_url) as owner:
        owner.execute("CREATE TABLE jars AS SELECT 7 AS id")
    first.stop()
    (tmp_path / "postgres" / "PG_VERSION").rename(tmp_path / "PG_VERSION")

    with pytest.raises(ServerDidNotStart) as refusal:
        postgres.start(tmp_path)

    assert refusal.value.detail == (
        f"{tmp_path}/postgres is not a whole database: its file PG_VERSION is missing."
        " Restore it from a backup, or move it away to start with an empty database."
    )
    (tmp_path / "PG_VERSION").rename(tmp_path / "postgres" / "PG_VERSION")
    again = postgres.start(tmp_path)
    with psycopg.connect(again.url) as app:
        assert app.execute("SELECT id FROM jars").fetchone() == (7,)
    again.stop()


def test_a_file_in_the_clusters_place_is_kept(tmp_path: Path) -> None:
    (tmp_path / "postgres").write_text("a file")

    with pytest.raises(ServerDidNotStart, match="is not a whole database"):
        postgres.start(tmp_path)

    assert (tmp_path / "postgres").read_text() == "a file"


def test_a_cluster_that_was_moved_away_may_come_back(tmp_path: Path) -> None:
    first = postgres.start(tmp_path)
    first.stop()
    (tmp_path / "postgres").rename(tmp_path / "away")

    second = postgres.start(tmp_path)

    assert second.passwords == first.passwords
    second.stop()


@pytest.mark.parametrize(
    "content", [None, "", "[1]", '{"postgres": "a", "hub_owner": "b"}', "\xff"]
)
def test_lost_passwords_are_explained_and_the_data_is_kept(
    tmp_path: Path, content: str | None
) -> None:
    # What is looked at before the server runs; a real cluster would only take longer.
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("18\n")
    if content is not None:
        (tmp_path / "postgres.json").write_text(content, encoding="latin-1")

    with pytest.raises(ServerDidNotStart) as refusal:
        postgres.start(tmp_path)

    assert refusal.value.detail == (
        f"{tmp_path}/postgres.json with the database passwords is missing or damaged. Restore it"
        f" from a backup, or move {tmp_path}/postgres away to start with an empty database."
    )
    assert (tmp_path / "postgres" / "PG_VERSION").read_text() == "18\n"


def test_a_broken_cluster_is_explained(tmp_path: Path) -> None:
    postgres.start(tmp_path).stop()
    settings = tmp_path / "postgres" / "postgresql.conf"
    settings.write_text("port = many\n")

    with pytest.raises(ServerDidNotStart) as refusal:
        postgres.start(tmp_path)

    assert refusal.value.detail == (
        f'PostgreSQL did not start: configuration file "{settings}" contains errors.'
        f" See {tmp_path}/logs/postgres-start.log."
    )
    assert processes.find_server(tmp_path / "postgres") is None


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "hub"
    place.write_text("a file")

    with pytest.raises(DataFolderUnusable) as refusal:
        postgres.start(place)

    assert refusal.value.detail == (
        f"{place} is not a folder. Remove that file or choose another --data-dir."
    )


def test_secrets_stay_out_of_the_logs(server: PostgresServer) -> None:
    passwords = json.loads((server.data_dir / "postgres.json").read_text()).values()
    logs = [*(server.data_dir / "logs").iterdir(), *(server.data_dir / "postgres/log").iterdir()]

    text = "".join(log.read_text() for log in logs)

    assert not [password for password in passwords if password in text]
