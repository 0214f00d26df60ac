"""Redis from a wheel: its password, its settings, and how it recovers."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # ships no types
import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from hub.embedded import processes, redis
from hub.embedded.redis import RedisServer

LEFT_BEHIND = """
import os, sys, threading
from pathlib import Path
from hub.embedded import redis
# A thread that is not the main one: the kernel will not stop the server for us.
starter = threading.Thread(target=redis.start, args=(Path(sys.argv[1]),))
starter.start()
starter.join()
os._exit(0)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    running = redis.start(tmp_path_factory.mktemp("redis"))
    yield running
    running.stop()


def test_it_answers_on_loopback(server: RedisServer) -> None:
    with Redis.from_url(server.url) as client:
        assert client.ping() is True
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("bind") == {"bind": "127.0.0.1"}


@pytest.mark.parametrize("password", [None, "guess"])
def test_nobody_enters_without_the_password(server: RedisServer, password: str | None) -> None:
    with (
        Redis(host="127.0.0.1", port=server.port, password=password) as client,
        pytest.raises(AuthenticationError),
    ):
        client.ping()


def test_the_password_is_in_closed_files_and_not_on_the_command_line(server: RedisServer) -> None:
    for name in ("redis.json", "redis/redis.conf"):
        path = server.data_dir / name
        assert server.password in path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    assert server.password not in " ".join(psutil.Process(server.process.pid).cmdline())


def test_it_writes_nothing_to_disk(tmp_path: Path) -> None:
    first = redis.start(tmp_path)
    with Redis.from_url(first.url) as client:
        client.set("jar", "honey")
    first.stop()
    assert not first.running

    assert not list((tmp_path / "redis").glob("*.rdb"))
    again = redis.start(tmp_path)
    with Redis.from_url(again.url) as client:
        assert client.get("jar") is None
    again.stop()


@pytest.mark.parametrize("name", ["hub.rdb", "dump.rdb"])
def test_a_damaged_dump_does_not_keep_it_from_starting(tmp_path: Path, name: str) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / name).write_bytes(b"REDIS0009\xff garbage")

    server = redis.start(tmp_path)

    with Redis.from_url(server.url) as client:
        assert client.dbsize() == 0
    server.stop()


@pytest.mark.parametrize("content", ["", "[1]", '{"password": [1]}', '{"password": "a\\nb c"}'])
def test_a_damaged_password_is_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "redis.json").write_text(content)

    server = redis.start(tmp_path)

    assert len(server.password) == 32
    server.stop()


def test_it_comes_back_on_the_port_it_had(tmp_path: Path) -> None:
    first = redis.start(tmp_path)
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()

    again = redis.start(tmp_path, port=first.port)

    assert again.url == first.url
    again.stop()


def test_a_server_left_behind_is_replaced(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", LEFT_BEHIND, str(tmp_path)], check=True)
    orphan = processes.find_server(tmp_path / "redis")
    assert orphan is not None

    server = redis.start(tmp_path)

    assert not processes.is_server(orphan, tmp_path / "redis")
    assert processes.find_server(tmp_path / "redis") == server.process.pid
    server.stop()


def test_a_pid_file_whose_number_belongs_to_another_program_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "redis.pid").write_text(f"{os.getpid()}\n")

    server = redis.start(tmp_path)

    assert server.running
    server.stop()
