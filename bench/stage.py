"""Where figures are measured: embedded servers, a prepared hub, and processes beside it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
PEERS_PYTHON: Final = ROOT / ".venv" / "peers" / "bin" / "python"
EMAIL: Final = "admin@hub.example.com"
PASSWORD: Final = "A long walk along the harbour, 7 miles"
OUTSIDE: Final = (
    "HUB_",
    "DJANGO_",
    "DATABASE_URL",
    "REDIS_URL",
    "OPENAI_",
    "ANTHROPIC_",
    "GOOGLE_",
)
READY_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Running servers and the environment in which a hub finds them."""

    folder: Path
    environment: Mapping[str, str]
    superuser_url: str
    redis_url: str

    @contextmanager
    def hub(self, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
        """`python ARGUMENTS` in the hub's own environment, for the time of the block."""
        with self._process([sys.executable, *arguments], settings) as process:
            yield process

    @contextmanager
    def peer(self, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
        """`python ARGUMENTS` in the environment of the peers."""
        with self._process([str(PEERS_PYTHON), *arguments], settings) as process:
            yield process

    @contextmanager
    def web(self, *, workers: int = 1, settings: Mapping[str, str] | None = None) -> Iterator[str]:
        """A serving web front; gives its address."""
        port = free_port()
        command = ("manage.py", "web", "--port", str(port), "--workers", str(workers))
        with self.hub(*command, HUB_PUBLIC_URL=f"http://127.0.0.1:{port}", **(settings or {})):
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: is_up(f"{url}/readyz"))
            yield url

    def run_peer(self, *arguments: str, **settings: str) -> dict[str, Any]:
        """What a peer's process printed, as JSON."""
        return self._output([str(PEERS_PYTHON), *arguments], settings)

    def run_hub(self, *arguments: str, **settings: str) -> dict[str, Any]:
        """What a process in the hub's environment printed last, as JSON."""
        return self._output([sys.executable, *arguments], settings)

    def _output(self, command: list[str], settings: Mapping[str, str]) -> dict[str, Any]:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**self.environment, **settings},
            stdout=subprocess.PIPE,
            check=True,
        )
        printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return printed

    @contextmanager
    def _process(
        self, command: list[str], settings: Mapping[str, str]
    ) -> Iterator[subprocess.Popen[bytes]]:
        log = self.folder / f"{Path(command[1]).stem}-{time.monotonic_ns()}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**self.environment, **settings},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            try:
                yield process
                if process.poll() is not None:
                    raise RuntimeError(f"{command} ended early:\n{log.read_text()[-4000:]}")
            finally:
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


@contextmanager
def raise_stage(folder: Path) -> Iterator[Stage]:
    """Embedded servers with a migrated database, an organization and its administrator."""
    from hub.embedded import servers  # noqa: PLC0415 - reads the environment when it is imported

    with servers.session(folder) as running:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(OUTSIDE)}
        stage = Stage(
            folder=folder,
            environment={
                **kept,
                "DATABASE_URL": running.postgres.url,
                "REDIS_URL": running.redis.url,
                "HUB_DATA_DIR": str(folder),
                "HUB_SECRET_KEY": "a key for measurements only, of no use elsewhere",
                "HUB_ADMIN_EMAIL": EMAIL,
                "HUB_ADMIN_PASSWORD": PASSWORD,
                "HUB_LOG_LEVEL": "WARNING",
                "HUB_RATE_LIMITS": "off",
                "PYTHONPATH": str(ROOT),
                "BENCH_SUPERUSER_URL": running.postgres.superuser_url,
            },
            superuser_url=running.postgres.superuser_url,
            redis_url=running.redis.url,
        )
        subprocess.run(
            [sys.executable, "manage.py", "prepare"],
            cwd=ROOT,
            env={**stage.environment, "DATABASE_URL": running.postgres.owner_url},
            check=True,
            stdout=subprocess.DEVNULL,
        )
        yield stage


def log_in(url: str) -> str:
    """The administrator's access token."""
    answer = call("POST", f"{url}/api/v1/auth/login", {"email": EMAIL, "password": PASSWORD})
    return str(answer["token"])


def call(method: str, url: str, body: Any = None, token: str = "") -> Any:
    """One request with a JSON answer; raises HTTPError for a refusal."""
    request = urllib.request.Request(  # noqa: S310 - our own address
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Content-Type": "application/json",
            **({"Authorization": f"Bearer {token}"} if token else {}),
        },
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own address
        return json.load(answer)


def is_up(url: str) -> bool:
    """Whether `url` answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except OSError:
        return False


def is_listening(port: int) -> bool:
    """Whether a loopback port takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool], seconds: float = READY_SECONDS) -> None:
    """Return when `condition` holds; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
