"""The mail server of an organization: whose it is, whether it takes mail, and handing some in."""

import smtplib
import socket
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, BinaryIO, Final
from urllib.parse import unquote, urlsplit
from uuid import UUID

import structlog
from django.conf import settings

from approvals.operations.mails import Letter
from kernel.http import addresses
from kernel.outbound import OutboundPolicy, is_public
from preferences.errors import SecretUnreadable
from preferences.selectors import values
from preferences.selectors.values import Values

log = structlog.get_logger(__name__)
MOST_LINES: Final = 400
POST_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in. `is_ours`: the operator named it, so any network will do."""

    host: str
    port: int
    security: str
    username: str = ""
    password: str = field(default="", repr=False)
    is_ours: bool = False


def server_of(preferences: Values) -> MailServer | None:
    """The organization's own server, else the one of HUB_SMTP_URL, else None.

    Never a mixture: the hub's password must not go to a server that somebody else named. Raises
    SecretUnreadable.
    """
    if host := preferences["email.smtp_host"]:
        return MailServer(
            host=host,
            port=preferences["email.smtp_port"],
            security=preferences["email.smtp_security"],
            username=preferences["email.smtp_username"],
            password=preferences["email.smtp_password"],
        )
    return _server_of_the_hub(settings.HUB_SMTP_URL)


def check(preferences: Values, *, seconds: float) -> str:
    """Say hello to the server, and log in where there is a user; sends no mail."""
    return deliver(preferences, (), seconds=seconds)


def post(organization_id: UUID, letters: Sequence[Letter]) -> bool:
    """Hand in an organization's letters, if it has a server; whether that is no trouble.

    A hook of `approvals.operations.mails`.
    """
    messages = []
    for letter in letters:
        message = EmailMessage()
        message["To"], message["Subject"] = letter.to, letter.subject
        message.set_content(letter.text)
        messages.append(message)
    found = deliver(values.read(organization_id=organization_id), messages, seconds=POST_SECONDS)
    return found in {"ok", "not_configured"}


def deliver(preferences: Values, messages: Sequence[EmailMessage], *, seconds: float) -> str:
    """The same, and hand the messages in; those without a sender come from the hub's address.

    `ok` says that the server took what it would; an address that it refuses keeps no other from
    its mail.
    """
    try:
        server = server_of(preferences)
        if server is None:
            return "not_configured"
        address = _resolve(server)
        if address is None:
            return "not_allowed"
        if _would_shout(server):
            return "not_encrypted"
        _visit(server, address, seconds, messages)
    except SecretUnreadable:
        return "secret_unreadable"
    except smtplib.SMTPAuthenticationError:
        return "login_refused"
    except ssl.SSLError as error:
        log.warning("hub.mail.not_trusted", error=type(error).__name__)
        return "certificate_refused"
    except (OSError, smtplib.SMTPException, UnicodeError) as error:
        log.warning("hub.mail.unreachable", error=type(error).__name__)
        return "unreachable"
    return "ok"


def _server_of_the_hub(url: str) -> MailServer | None:
    parts = urlsplit(url)
    if not parts.hostname:
        return None
    is_tls = parts.scheme == "smtps"
    # A server on this machine is not reached over any network.
    is_near = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    return MailServer(
        host=parts.hostname,
        port=parts.port or (465 if is_tls else 587),
        security="tls" if is_tls else "none" if is_near else "starttls",
        username=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        is_ours=True,
    )


def _resolve(server: MailServer) -> str | None:
    """The address to connect to; None if an organization may not reach it (decisions 7)."""
    policy = OutboundPolicy(allowed_networks=settings.HUB_OUTBOUND_ALLOW)
    for *_, place in socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM):
        found = addresses.parse(str(place[0]))
        if found and (server.is_ours or policy.lists(found) or is_public(found)):
            return str(found)
    return None


def _would_shout(server: MailServer) -> bool:
    """Whether the password would travel in plain text over a network that nobody listed."""
    if server.is_ours or server.security != "none" or not server.username:
        return False
    policy = OutboundPolicy(allowed_networks=settings.HUB_OUTBOUND_ALLOW)
    found = addresses.parse(_resolve(server) or "")
    return found is None or not policy.lists(found)


def _visit(
    server: MailServer, address: str, seconds: float, messages: Sequence[EmailMessage]
) -> None:
    kind: type[Any] = _PinnedTls if server.security == "tls" else _Pinned
    with kind(server, address, seconds) as smtp:
        smtp.ehlo()
        if server.security == "starttls":
            smtp.starttls(context=ssl.create_default_context())
            smtp.ehlo()
        if server.username:
            smtp.login(server.username, server.password)
        for message in messages:
            _hand_in(smtp, message)


def _hand_in(smtp: smtplib.SMTP, message: EmailMessage) -> None:
    if "From" not in message:
        message["From"] = f"agent-hub@{urlsplit(settings.HUB_PUBLIC_URL).hostname or 'localhost'}"
    try:
        smtp.send_message(message)
    except (smtplib.SMTPRecipientsRefused, smtplib.SMTPNotSupportedError) as error:
        log.warning("hub.mail.recipient_refused", error=type(error).__name__)


class _Lines:
    """A server's lines, as many as an honest one needs for all it has to say."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = MOST_LINES

    def readline(self, limit: int) -> bytes:
        """The next line; raises OSError for one too many."""
        self._left -= 1
        if self._left < 0:
            raise OSError("The mail server talks without end.")
        return self._file.readline(limit)

    def close(self) -> None:
        """As the file's."""
        self._file.close()


class _Pinned(smtplib.SMTP):
    """Connects to the address that was judged, whatever the name says a moment later.

    Hangs up after so many seconds and lines: the socket's own timeout begins anew with each byte.
    """

    def __init__(self, server: MailServer, address: str, seconds: float) -> None:
        self.address = address
        self.opened: socket.socket | None = None
        self.timer = threading.Timer(seconds, self._hang_up)
        self.timer.daemon = True
        self.timer.start()
        try:
            super().__init__(server.host, server.port, timeout=seconds)
        except BaseException:
            self.timer.cancel()
            raise

    def close(self) -> None:
        """As smtplib's."""
        self.timer.cancel()
        super().close()

    def getreply(self) -> tuple[int, bytes]:
        """As smtplib's."""
        if self.file is None and self.sock is not None:
            self.file = _Lines(self.sock.makefile("rb"))
        return super().getreply()

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        self.opened = socket.create_connection((self.address, port), timeout)
        return self.opened

    def _hang_up(self) -> None:
        for opened in (self.opened, self.sock):
            with suppress(OSError, AttributeError):
                opened.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]


class _PinnedTls(_Pinned):
    """The same, encrypted from the first byte for the name that was asked for."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = super()._get_socket(host, port, timeout)
        context = ssl.create_default_context()
        # In two steps, so that a handshake can be hung up too.
        self.opened = wrapped = context.wrap_socket(
            plain, server_hostname=host, do_handshake_on_connect=False
        )
        wrapped.do_handshake()
        return wrapped
