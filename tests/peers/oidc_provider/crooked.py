"""A provider that says whatever a test wants, signed with whatever it wants."""

import json
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.peers.oidc_provider import CLIENT_ID

SUBJECT = "subject-1"


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """A key of that name; making one is slow."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def ed_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def jwk(key: Any, kid: str) -> dict[str, Any]:
    """The public half."""
    kinds: dict[type, Any] = {
        rsa.RSAPrivateKey: RSAAlgorithm,
        ec.EllipticCurvePrivateKey: ECAlgorithm,
        ed25519.Ed25519PrivateKey: OKPAlgorithm,
    }
    algorithm = next(found for kind, found in kinds.items() if isinstance(key, kind))
    return {**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}


def unsigned(claims: dict[str, Any], header: dict[str, Any]) -> str:
    """A token without a signature, or rather with an empty one."""
    parts = (urlsafe_b64encode(json.dumps(part).encode()).decode() for part in (header, claims))
    return ".".join(part.rstrip("=") for part in parts) + "."


@dataclass
class Crooked:
    """What it publishes and says; `sign` makes the ID token of its claims."""

    issuer: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    keys: list[dict[str, Any]] = field(default_factory=list)
    userinfo: dict[str, Any] = field(default_factory=dict)
    sign: Callable[[dict[str, Any]], str] = json.dumps
    status: int = 200
    # The nonces of logins that are under way together, by code.
    nonces: dict[str, str] = field(default_factory=dict)
    # Path, headers and form of each call, in order.
    calls: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)

    def begin(self, nonce: str) -> None:
        """Be honest about somebody, for now."""
        now = int(time.time())
        self.metadata = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=1",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA", "HS256", "none"],
        }
        self.keys = [jwk(rsa_key("own"), "own")]
        self.sign = lambda claims: jwt.encode(
            claims, rsa_key("own"), algorithm="RS256", headers={"kid": "own"}
        )
        self.claims = {
            "iss": self.issuer,
            "sub": SUBJECT,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "email": "olivia@example.com",
            "email_verified": True,
            "groups": ["operators"],
        }

    def asked(self, path: str) -> int:
        """How often `path` was called."""
        return sum(called == path for called, _, _ in self.calls)

    def answer(self, path: str, sent: dict[str, str]) -> dict[str, Any]:
        """What is said at `path`."""
        nonce = self.nonces.get(sent.get("code", ""), self.claims.get("nonce", ""))
        claims = {**self.claims, "nonce": nonce} if "nonce" in self.claims else self.claims
        answers: dict[str, Callable[[], dict[str, Any]]] = {
            "/.well-known/openid-configuration": lambda: self.metadata,
            "/keys": lambda: {"keys": self.keys},
            "/userinfo": lambda: self.userinfo,
            "/token": lambda: {
                "access_token": "opaque",
                "token_type": "Bearer",
                "id_token": self.sign(claims),
            },
        }
        return answers[path]()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    provider: Crooked


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._answer("")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["content-length"])).decode())

    def log_message(self, *_arguments: object) -> None:
        """Quiet."""

    def _answer(self, form: str) -> None:
        provider = self.server.provider
        sent = {key: value[0] for key, value in parse_qs(form).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        provider.calls.append((self.path, headers, sent))
        body = json.dumps(provider.answer(self.path, sent)).encode()
        self.send_response(provider.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def crooked() -> Iterator[Crooked]:
    """Serve until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.provider = Crooked(issuer=f"http://127.0.0.1:{server.server_address[1]}")
    server.provider.begin("")
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.provider
    finally:
        server.shutdown()
        server.server_close()
