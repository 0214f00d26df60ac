"""Plays a mail server: greets, lets log in, takes mail."""

import base64
import socketserver
import threading
from contextlib import suppress
from typing import Any, Final, Self

END: Final = b".\r\n"


class _Session(socketserver.StreamRequestHandler):
    server: Any

    def handle(self) -> None:
        """Answer line by line."""
        peer: MailPeer = self.server.peer
        if peer.silent:
            peer.released.wait(30)
            return
        if peer.endless:
            self._talk(peer)
            return
        self._say("220 peer ESMTP")
        for line in self.rfile:
            command, _, rest = line.decode().strip().partition(" ")
            peer.heard.append(command.upper())
            self._answer(peer, command.upper(), rest)
            if command.upper() == "QUIT":
                return

    def _answer(self, peer: "MailPeer", command: str, rest: str) -> None:
        match command:
            case "EHLO":
                self._say("250-peer\r\n250 AUTH PLAIN")
            case "AUTH":
                given = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")
                good = given[1:] == [peer.username, peer.password]
                self._say("235 welcome" if good else "535 no")
            case "RCPT" if peer.refused and peer.refused in rest:
                self._say("550 nobody")
            case "DATA":
                self._say("354 go on")
                peer.mails.append("".join(text.decode() for text in iter(self.rfile.readline, END)))
                self._say("250 taken")
            case "QUIT":
                self._say("221 bye")
            case _:
                self._say("250 ok")

    def _talk(self, peer: "MailPeer") -> None:
        """A greeting that comes to no end, a line each `endless` seconds; below 0: at once."""
        with suppress(OSError):
            while not peer.released.wait(peer.endless if peer.endless > 0 else 0):
                self._say("220-and so on")

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    peer: "MailPeer"


class MailPeer:
    """A server on a free port; `heard` holds the commands that came in, `mails` what was sent.

    It takes none for addresses that hold `refused`.
    """

    def __init__(
        self, *, username: str = "", password: str = "", silent: bool = False, endless: float = 0
    ) -> None:
        self.endless = endless
        self.username = username
        self.password = password
        self.silent = silent
        self.released = threading.Event()
        self.refused = ""
        self.heard: list[str] = []
        self.mails: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Session)
        self._server.peer = self
        self.port: int = self._server.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
