"""`manage.py up`: from nothing to a hub that has answered its first question.

It runs without Django, so that a wrong setting is one sentence and the supervisor stays small.
"""

import argparse
import http.client
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from psycopg.conninfo import conninfo_to_dict

from hub.embedded import data_folder, postgres, processes, redis
from hub.embedded.data_folder import Lock
from hub.launch import preflight
from hub.launch.child import ROOT, Child
from hub.launch.environment import Connections
from hub.launch.errors import CannotStart, GaveUp
from hub.launch.supervisor import Stopped, Supervisor
from hub.launch.terminal import Terminal
from kernel.errors import DomainError

READY_SECONDS: Final = 120.0
WELCOMED_FILE: Final = "welcomed"
CHILD: Final = "hub.launch.child_main"
WELCOME: Final = "hub.launch.welcome"
DOCUMENTS: Final = ("README.md", "CONTRIBUTING.md", "docs")


@dataclass(frozen=True, slots=True)
class Options:
    """The command line; None means "as the environment says"."""

    once: bool = False
    welcome: bool = False
    verbose: bool = False
    port: int | None = None
    data_dir: Path | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `up`."""
    parser.add_argument(
        "--once", action="store_true", help="run the welcome task, then stop; 0 if it succeeded"
    )
    parser.add_argument(
        "--port", type=_port, help="default: HUB_PORT or 8000; 0 takes any free one"
    )
    parser.add_argument("--data-dir", type=Path, help="default: HUB_DATA_DIR or .hub")
    parser.add_argument("--welcome", action="store_true", help="run the welcome task again")
    parser.add_argument("--verbose", action="store_true", help="show everything the processes log")


def main(arguments: Sequence[str]) -> int:
    """Run `up` with these arguments and return its exit code."""
    parser = argparse.ArgumentParser(prog="manage.py up", description=__doc__)
    add_arguments(parser)
    found = vars(parser.parse_args(arguments))
    return run(Options(**found))


def run(options: Options) -> int:
    """0: ended as asked; 1: a part failed for good; 2: it could not start."""
    os.umask(0o077)  # What the hub writes is for its owner alone.
    try:
        return _Launch(options).run()
    except GaveUp as failure:
        print(failure.detail, file=sys.stderr)
        return 1
    except DomainError as refusal:
        print(refusal.detail, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"The system refused: {error}. Put that right and start again.", file=sys.stderr)
        return 2
    except Stopped as stop:
        # To stop a serving hub is how it ends well; to stop `--once` is to cut it short.
        return 128 + stop.number if options.once else 0


class _Launch:
    """One run of `up`; everything it started ends with its `_stack`, in reverse order."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._terminal = Terminal()
        self._stack = ExitStack()

    def run(self) -> int:
        preflight.check_settings()
        self._settings = importlib.import_module("hub.env").env
        self._supervisor = Supervisor(
            self._terminal,
            drain_seconds=self._settings.drain_seconds,
            verbose=self._options.verbose,
        )
        self._supervisor.listen()
        with self._stack:
            self._connections = self._connect()
            self._stack.callback(self._supervisor.stop)
            return self._bring_up()

    def _connect(self) -> Connections:
        """Take the data folder and find or start the servers."""
        settings, options = self._settings, self._options
        folder = data_folder.make(options.data_dir or settings.data_dir)
        lock = self._stack.enter_context(Lock(folder))
        preflight.check_room(folder)
        port = settings.port if options.port is None else options.port
        port = preflight.choose_port(settings.bind, port)
        preflight.check_external_servers(_given())
        redis_url = self._redis_url(folder)
        database_url, owner_url = self._database_urls(folder)
        connections = Connections(database_url, owner_url, redis_url, folder, port)
        if "DATABASE_URL" not in _given():
            connections.publish()
            self._stack.callback(connections.withdraw)
        self._url = os.environ.get("HUB_PUBLIC_URL", "").rstrip("/") or f"http://127.0.0.1:{port}"
        lock.describe(url=self._url)
        return connections

    def _redis_url(self, folder: Path) -> str:
        if "REDIS_URL" in _given():
            return os.environ["REDIS_URL"]
        with self._terminal.step("Redis"):
            server = redis.start(folder)
        self._stack.callback(server.stop)
        self._supervisor.watch("Redis", server)
        return server.url

    def _database_urls(self, folder: Path) -> tuple[str, str]:
        """As the app, and as the owner of its tables."""
        if "DATABASE_URL" in _given():
            app = os.environ["DATABASE_URL"]
            return app, os.environ.get("HUB_DATABASE_OWNER_URL") or app
        with self._terminal.step("PostgreSQL"):
            server = postgres.start(folder)
        self._stack.callback(server.stop)
        self._supervisor.watch("PostgreSQL", server)
        return server.url, server.owner_url

    def _bring_up(self) -> int:
        folder = self._connections.data_dir
        welcome = (
            self._options.once or self._options.welcome or not (folder / WELCOMED_FILE).exists()
        )
        commands = {
            "web": ["web", "--port", str(self._connections.port)],
            "worker": ["worker"],
            "scheduler": ["scheduler"],
        }
        serving, scheduling = self._connections.serving(), self._connections.scheduling()
        envs = {"web": serving, "worker": serving, "scheduler": scheduling}
        self._supervisor.start(
            [
                Child(name, _in_python(CHILD, command), env=envs[name], log_dir=folder / "logs")
                for name, command in commands.items()
            ]
        )
        with self._terminal.step("Database schema and first account"):
            prepared = self._prepare(token=welcome)
        self._show_password(prepared)
        self._supervisor.release()
        with self._terminal.step("Web, worker and scheduler"):
            self._wait_until_ready()
        failure = self._welcome(prepared) if welcome else None
        if self._options.once:
            if failure:
                raise GaveUp(failure)
            return 0
        self._show_address(prepared["email"], failure)
        self._supervisor.wait(lambda: False)
        return 0

    def _prepare(self, *, token: bool) -> dict[str, Any]:
        log = self._connections.data_dir / "logs" / "prepare.log"
        role = conninfo_to_dict(self._connections.database_url).get("user")
        owner = conninfo_to_dict(self._connections.owner_url).get("user")
        command = ["prepare"]
        if token:
            command.append("--token")
        if role and role != owner:
            command += ["--app-role", str(role)]
        with log.open("wb") as errors:
            process = self._start(
                CHILD,
                command,
                env=self._connections.preparing(),
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        code = self._supervisor.run_beside(process)
        output, _ = process.communicate()
        if code != 0:
            reason = processes.last_words(log, otherwise=f"it ended with code {code}")
            raise CannotStart(f"The database could not be prepared: {reason}. See {log}.")
        found: dict[str, Any] = json.loads(output)
        return found

    def _wait_until_ready(self) -> None:
        if not self._supervisor.wait(self._is_ready, seconds=READY_SECONDS):
            log = self._connections.data_dir / "logs" / "web.log"
            raise GaveUp(f"The hub was not ready after {READY_SECONDS:.0f} seconds. See {log}.")

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection(self._local_host(), self._connections.port)
        connection.timeout = 2
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _welcome(self, prepared: dict[str, Any]) -> str | None:
        """Teach the hub its own documents and ask it about itself; the reason if that fails."""
        serving = self._connections.serving()
        ingest = [
            w for d in DOCUMENTS if (ROOT / d).exists() for w in ("--", "ingest", str(ROOT / d))
        ]
        self._terminal.line("  Reading the hub's own documents:")
        process = self._start(CHILD, ingest, env=serving)
        if self._supervisor.run_beside(process) != 0:
            return "The hub's own documents could not be ingested; see the lines above."
        host = self._local_host()
        password = prepared["password"]
        if prepared["created"] and password is None:
            password = self._settings.admin_password
        asked = {
            "url": f"http://{f'[{host}]' if ':' in host else host}:{self._connections.port}",
            "provider": self._provider(),
            "email": prepared["email"],
            "password": password,
            "token": None if password else prepared["token"],
        }
        process = self._start(WELCOME, [], env=serving, first_line=json.dumps(asked))
        if self._supervisor.run_beside(process) != 0:
            return "The welcome task did not succeed; see the lines above."
        (self._connections.data_dir / WELCOMED_FILE).touch()
        return None

    def _provider(self) -> str:
        settings = self._settings
        # The order of `agents.operations.catalogue.preferred_provider`, which needs Django.
        configured = (n for n in ("anthropic", "openai", "google") if getattr(settings, n).api_key)
        local = "openai" if settings.openai.base_url else "demo"
        return settings.default_provider or next(configured, local)

    def _models(self) -> str:
        provider = self._provider()
        if provider == "demo":
            return "demo provider: offline, no language model (docs/configuration.md has real ones)"
        model = getattr(self._settings, provider).model
        return f"{provider} {model}".rstrip() + ", for new agents that name none"

    def _local_host(self) -> str:
        bind = str(self._settings.bind)
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 - only compared

    def _start(
        self,
        module: str,
        words: Sequence[str],
        *,
        env: dict[str, str],
        first_line: str = "go",
        stdout: int | None = None,
        stderr: Any = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process that ends by itself, and tell it its first line."""
        process = subprocess.Popen(
            _in_python(module, words),
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=stdout,
            stderr=stderr,
            process_group=0,
        )
        if process.stdin is not None:
            process.stdin.write(f"{first_line}\n".encode())
            process.stdin.close()
            process.stdin = None
        return process

    def _show_password(self, prepared: dict[str, Any]) -> None:
        if prepared["password"]:
            self._terminal.line()
            self._terminal.line(f"  Your administrator is {prepared['email']}")
            self._terminal.line(f"  with the password     {prepared['password']}")
            self._terminal.line("  It is stored nowhere and shown only now: note it.")
            self._terminal.line()

    def _show_address(self, email: str, failure: str | None) -> None:
        say, folder = self._terminal.line, self._connections.data_dir
        if failure:
            say(self._terminal.paint("yellow", f"{failure} The hub runs all the same."))
        say()
        say(f"  Agent Hub is running at {self._terminal.paint('green', self._url)}")
        say()
        say(f"  Console    {self._url}/admin/")
        say(f"  API        {self._url}/api/schema/swagger/")
        say(f"  Log in as  {email}")
        say(f"  Models     {self._models()}")
        say(f"  Data       {folder}")
        say(f"  Logs       {folder / 'logs'}")
        say()
        say("  Ctrl-C stops it. `--welcome` runs the welcome task again.")
        say()


def _in_python(module: str, words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", module, str(os.getpid()), *words]


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError("a port is a whole number from 0 to 65535")
    return int(text)


def _given() -> set[str]:
    """Names of the settings that have a value; `DATABASE_URL=` counts as unset."""
    return {name for name, value in os.environ.items() if value.strip()}
