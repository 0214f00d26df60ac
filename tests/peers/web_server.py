"""A small web site on loopback: pages, redirects, bombs, drips."""

import gzip
import ssl
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HTML = (
    b"<html><head><title>T</title></head><body><h1>Leases</h1><script>if (1 < 2) {}</script>"
    b"<p>A lease &amp; its token.</p><!-- hidden --><style>p {}</style></body></html>"
)
PAGES = {
    "/text": ("text/plain; charset=iso-8859-1", "caf\u00e9".encode("latin-1")),
    "/html": ("text/html; charset=utf-8", HTML),
    "/json": ("application/json", b'{"a": 1}'),
    "/image": ("image/png", b"\x89PNG"),
    "/large": ("text/plain", b"x" * 100_000),
    "/unclosed": ("text/html", b"<script>" * 20_000),
    "/charset": ("text/plain; charset=nonsense", b"abc"),
}


@dataclass
class Site:
    """Where the site is, and what it was asked."""

    server: "_Server"
    port: int
    requests: list[tuple[str, str]] = field(default_factory=list)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


@contextmanager
def web_site() -> Iterator[Site]:
    """Serve until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.site = Site(server, server.server_address[1])
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server.site
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def tls_site(name: str) -> Iterator[tuple[int, ssl.SSLContext]]:
    """The same over TLS with a certificate for `name`: the port, and a context that trusts it."""
    with web_site() as site, tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "site.pem")
        file.write_bytes(_certificate(name))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(file)
        server = site.server
        server.socket = context.wrap_socket(server.socket, server_side=True)
        yield site.port, ssl.create_default_context(cafile=str(file))


def _certificate(name: str) -> bytes:
    """A self-signed certificate and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM) + secret


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    site: Site

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.server.site.requests.append((self.path, self.headers["host"]))
        name, _, rest = self.path[1:].partition("/")
        if self.path in PAGES:
            self._send(200, PAGES[self.path][1], {"content-type": PAGES[self.path][0]})
        elif name == "to":
            self._send(302, b"", {"location": unquote(rest)})
        elif name == "loop":
            self._send(302, b"", {"location": "/loop"})
        else:
            getattr(self, f"_{name}")()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_arguments: object) -> None:
        """Quiet."""

    def _gzip(self) -> None:
        self._send(200, gzip.compress(b"hello " * 10), {"content-encoding": "gzip"})

    def _deflate(self) -> None:
        self._send(200, zlib.compress(b"hello"), {"content-encoding": "deflate"})

    def _bomb(self) -> None:
        self._send(200, gzip.compress(bytes(50_000_000)), {"content-encoding": "gzip"})

    def _damaged(self) -> None:
        self._send(200, b"not gzip at all", {"content-encoding": "gzip"})

    def _brotli(self) -> None:
        self._send(200, b"?", {"content-encoding": "br"})

    def _drip(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(1000):
            self.wfile.write(b".")
            time.sleep(0.05)

    def _status(self) -> None:
        self._send(int(self.path.rpartition("/")[2]), b"So it is.", {"content-type": "text/plain"})

    def _silent(self) -> None:
        time.sleep(2)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
