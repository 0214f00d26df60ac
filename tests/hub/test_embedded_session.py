"""Both servers of one data folder: one owner, gone with it, and neighbours left in peace."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from hub import embedded
from hub.embedded import postgres, processes
from hub.embedded.data_folder import Lock
from hub.embedded.errors import DataFolderInUse

HOLDER = """
import sys, time
from pathlib import Path
from hub import embedded
with embedded.session(Path(sys.argv[1])) as servers:
    servers.lock.describe(url="http://127.0.0.1:8123")
    print("ready", flush=True)
    time.sleep(60)
"""


@contextmanager
def holder(data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", HOLDER, str(data_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def server_pids(data_dir: Path) -> list[int]:
    found = [processes.find_server(data_dir / name) for name in processes.SERVERS]
    return [pid for pid in found if pid is not None]


def test_a_second_hub_on_the_folder_is_told_where_the_first_one_is(tmp_path: Path) -> None:
    with holder(tmp_path) as first, pytest.raises(DataFolderInUse) as refusal:
        Lock(tmp_path).acquire()

    assert refusal.value.detail == (
        f"A hub already runs on {tmp_path} at http://127.0.0.1:8123 (pid {first.pid})."
        " Stop it first or choose another --data-dir."
    )


def test_a_killed_hub_leaves_neither_lock_nor_servers_in_the_way(tmp_path: Path) -> None:
    with holder(tmp_path) as first:
        assert len(server_pids(tmp_path)) == 2
        first.send_signal(signal.SIGKILL)
        first.wait()

        with embedded.session(tmp_path) as servers:
            psycopg.connect(servers.postgres.url).close()
            with Redis.from_url(servers.redis.url) as client:
                assert client.ping() is True

    assert server_pids(tmp_path) == []


if sys.platform == "linux":  # Only its kernel ties a child to its parent.

    def test_the_servers_of_a_killed_hub_stop_by_themselves(tmp_path: Path) -> None:
        with holder(tmp_path) as first:
            first.send_signal(signal.SIGKILL)
            first.wait()

            deadline = time.monotonic() + 20
            while server_pids(tmp_path) and time.monotonic() < deadline:
                time.sleep(0.05)
        assert server_pids(tmp_path) == []


def test_two_folders_run_side_by_side(tmp_path: Path) -> None:
    with embedded.session(tmp_path / "one") as one, embedded.session(tmp_path / "two") as two:
        assert one.redis.port != two.redis.port
        for servers in (one, two):
            psycopg.connect(servers.postgres.url).close()


def test_servers_stop_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), embedded.session(tmp_path):
        raise KeyError

    assert server_pids(tmp_path) == []
    with Lock(tmp_path):
        pass


if os.geteuid() == 0:  # Only root's servers run as somebody else, who needs the doors opened.

    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    def test_closed_parents_are_opened_while_needed_and_closed_again(tmp_path: Path) -> None:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)

        first = postgres.start(closed / "one")
        assert mode(closed) == 0o701
        second = postgres.start(closed / "two")

        first.stop()
        assert mode(closed) == 0o701
        psycopg.connect(second.url).close()
        second.stop()
        assert mode(closed) == 0o700

    def test_a_door_left_open_by_a_killed_hub_is_closed_by_the_next(tmp_path: Path) -> None:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        with holder(closed / "one") as killed:
            assert mode(closed) == 0o701
            killed.kill()
            killed.wait()
            while server_pids(closed / "one"):
                time.sleep(0.05)

        postgres.start(closed / "two").stop()

        assert mode(closed) == 0o700

    def test_a_mode_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        server = postgres.start(closed / "one")
        closed.chmod(0o755)

        server.stop()

        assert mode(closed) == 0o755
