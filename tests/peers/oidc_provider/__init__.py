"""OpenID providers on loopback: an honest one (django-oauth-toolkit), and a crooked one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx

ROOT: Final = Path(__file__).resolve().parents[3]
CLIENT_ID: Final = "agent-hub"
SECRET: Final = "a secret: of 100 % between hub & provider"
PASSWORD: Final = "the provider's password"
PEOPLE: Final[dict[str, dict[str, Any]]] = {
    "olivia": {
        "email": "olivia@example.com",
        "email_verified": True,
        "name": "Olivia Operator",
        "groups": ["operators", "everybody"],
    },
    "mallory": {
        "email": "mallory@example.com",
        "email_verified": False,
        "name": "Mallory",
        "groups": ["operators"],
    },
    "vera": {
        "email": "vera@example.com",
        "email_verified": True,
        "name": "Vera Viewer",
        "groups": [],
    },
}


@dataclass
class Provider:
    """A running provider and what it says of people."""

    issuer: str
    folder: Path
    process: "subprocess.Popen[str]"
    people: dict[str, dict[str, Any]] = field(default_factory=dict)

    def say(self, name: str, **claims: Any) -> None:
        """Change what it says of somebody; None takes a claim away."""
        said = {**self.people[name], **claims}
        self.people[name] = {key: value for key, value in said.items() if value is not None}
        (self.folder / "people.json").write_text(json.dumps(self.people))

    def reset(self) -> None:
        """Say what it said at first."""
        self.people = {name: dict(claims) for name, claims in PEOPLE.items()}
        (self.folder / "people.json").write_text(json.dumps(self.people))

    def visit(self, address: str, name: str) -> dict[str, str]:
        """Log in there as a browser does; what it sends back to the redirect address."""
        with httpx.Client(trust_env=False, timeout=30) as browser:
            answer = browser.get(address)
            if "/login/" in answer.headers["location"]:
                login = httpx.URL(address).join(answer.headers["location"])
                form = {"username": name, "password": PASSWORD}
                answer = browser.post(login, data=form)
                answer = browser.get(httpx.URL(address).join(answer.headers["location"]))
        return {
            key: value[0]
            for key, value in parse_qs(urlsplit(answer.headers["location"]).query).items()
        }

    def stop(self) -> None:
        """End its process."""
        self.process.terminate()
        self.process.wait(10)


@contextmanager
def honest(folder: Path, *, redirect_uri: str) -> Iterator[Provider]:
    """A provider that does as it should; its one client is CLIENT_ID."""
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.peers.oidc_provider", str(folder), SECRET, redirect_uri],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        port = json.loads(process.stdout.readline())["port"]
    provider = Provider(f"http://127.0.0.1:{port}/o", folder, process)
    provider.reset()
    try:
        yield provider
    finally:
        provider.stop()
