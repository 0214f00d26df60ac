"""What must be right before anything starts; each fault is one sentence with its mend."""

import errno
import importlib
import os
import shutil
import socket
from collections.abc import Collection
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import psycopg
from django.core.exceptions import ImproperlyConfigured
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.retry import Retry

from hub.launch.errors import CannotStart

ROOM: Final = 300 * 1024 * 1024  # Bytes: a new cluster takes 70 MB, its log may take as much again.
OLDEST_POSTGRES: Final = 15
SECONDS: Final = 5


def check_settings() -> None:
    """Every setting is known and well-formed."""
    try:
        importlib.import_module("hub.env")  # Reads the environment; refuses what it cannot use.
    except ImproperlyConfigured as error:
        raise CannotStart(str(error)) from None


def check_room(data_dir: Path) -> None:
    """The disk has room for a database."""
    free = shutil.disk_usage(data_dir).free
    if free < ROOM:
        raise CannotStart(
            f"Only {free // 2**20} MB are free on the disk of {data_dir}; the hub needs"
            f" {ROOM // 2**20} MB. Free some space or choose another --data-dir."
        )


def choose_port(bind: str, port: int) -> int:
    """`port` if it can be listened on, any free one for 0."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
            probe.listen(1)  # Binding alone passes beside a listener that allows reuse.
        except OSError as error:
            raise CannotStart(_why_no_port(bind, port, error)) from None
        return int(probe.getsockname()[1])


def check_external_servers(given: Collection[str]) -> None:
    """The servers named by the variables in `given` let us in and are new enough."""
    if "DATABASE_URL" in given:
        _check_database("DATABASE_URL")
        if "HUB_DATABASE_OWNER_URL" in given:
            _check_database("HUB_DATABASE_OWNER_URL")
    if "REDIS_URL" in given:
        _check_redis()


def _check_database(name: str) -> None:
    url = os.environ[name]
    try:
        with psycopg.connect(url, connect_timeout=SECONDS) as connection:
            version = connection.info.server_version // 10_000
    except psycopg.Error as error:
        raise CannotStart(_why_no_database(name, url, error)) from None
    if version < OLDEST_POSTGRES:
        raise CannotStart(
            f"{name} points to PostgreSQL {version}; the hub needs {OLDEST_POSTGRES} or newer."
        )


def _check_redis() -> None:
    url = os.environ["REDIS_URL"]
    try:
        once = Retry(NoBackoff(), 0)
        with Redis.from_url(
            url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS, retry=once
        ) as client:
            client.ping()
    except AuthenticationError:
        raise CannotStart(
            f"REDIS_URL: the server at {_place(url)} refuses the user or password. Correct them."
        ) from None
    except (RedisError, OSError, ValueError):
        raise CannotStart(
            f"REDIS_URL: no Redis server answers at {_place(url)}."
            " Start it, correct the address, or unset REDIS_URL to use the embedded one."
        ) from None


def _why_no_port(bind: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} is already in use. Stop the program that listens there,"
            " or choose another port with --port (0 takes any free one)."
        )
    if error.errno == errno.EACCES:
        return f"You may not listen on port {port}. Choose one above 1023 with --port."
    return f"Cannot listen on {bind}:{port}. Set HUB_BIND to an address of this machine."


def _why_no_database(name: str, url: str, error: psycopg.Error) -> str:
    said = str(error)
    place = _place(url)
    if "password" in said or "authentication" in said:
        return f"{name}: the server at {place} refuses the user or password. Correct them."
    if "does not exist" in said:
        database = urlsplit(url).path.lstrip("/")
        return f'{name}: the server at {place} has no role or database "{database}". Create it.'
    return (
        f"{name}: no PostgreSQL server answers at {place}."
        f" Start it, correct the address, or unset {name} to use the embedded one."
    )


def _place(url: str) -> str:
    """Host and port of a URL, without the password that stands beside them."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that cannot be read"
    socket_dir = dict(parse_qsl(parts.query)).get("host")
    return f"{parts.hostname}{port}" if parts.hostname else socket_dir or parts.path
