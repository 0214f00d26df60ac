"""The protocol of `/ws` (contract 003 B27); `docs/events.md` describes it for clients."""

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import orjson
import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from accounts.errors import TokenRefused
from hub.front import callers, database, long_answers, switchboard, wire
from hub.front.switchboard import UNAUTHENTICATED, Subscriber, Switchboard
from hub.front.tolls import Toll
from hub.front.wire import Wire
from kernel import clock
from kernel.errors import Forbidden
from kernel.http.limits import RateLimited

log = structlog.get_logger(__name__)
AUTH_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 2.0
SUBSCRIPTIONS: Final = 50
# Messages that ask the database: so many at once, then one a second.
QUESTIONS: Final = 100
FORBIDDEN: Final = 4403
TOO_OFTEN: Final = 4429
TRY_AGAIN: Final = 1013
PONG: Final = wire.text_frame(b'{"type":"pong"}')


class Refused(Exception):
    """The socket must be closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class BadMessage(Exception):
    """The client is told; the socket stays open."""


class EventSocket:
    """One client from handshake to close."""

    def __init__(self, websocket: WebSocket, board: Switchboard) -> None:
        self._websocket = websocket
        self._outlet: Wire = websocket.scope["extensions"][wire.EXTENSION]
        self._board = board
        self._address = callers.address_of(websocket)
        self._toll = Toll(self._address)

    async def run(self) -> None:
        """Serve until either side ends it."""
        try:
            self._toll.check()
            if settings.HUB_RATE_LIMITS:
                await database.ask(self._toll.charge)
        except RateLimited as refusal:
            await self._deny(refusal)
            return
        # A close code reaches a browser only after the handshake was accepted.
        await self._websocket.accept()
        try:
            line, expiry = await self._identify()
        except Refused as refusal:
            await self._close(refusal.code, refusal.reason)
        except WebSocketDisconnect:
            return
        else:
            await self._serve(line, expiry)

    async def _identify(self) -> tuple[Subscriber, datetime]:
        """The authenticated line and the end of its token; by query or by first message."""
        if not _is_origin_ours(self._websocket):
            raise Refused(FORBIDDEN, "This origin may not connect.")
        token = self._websocket.query_params.get("token")
        if token:
            caller, expiry = await _authenticate(token, self._address, self._toll)
            return Subscriber(caller, self._outlet), expiry
        message = await self._read_first()
        if message.get("type") != "auth":
            raise Refused(UNAUTHENTICATED, "The first message must be of type auth.")
        caller, expiry = await _authenticate(message.get("token"), self._address, self._toll)
        line = Subscriber(caller, self._outlet)
        line.send(_authenticated(expiry))
        return line, expiry

    async def _read_first(self) -> dict[str, Any]:
        # Only the client's own time counts: when everybody comes back at once after a restart,
        # checking the tokens takes longer than this.
        try:
            async with asyncio.timeout(AUTH_SECONDS):
                return await self._read()
        except TimeoutError:
            raise Refused(UNAUTHENTICATED, "Send the token within 5 seconds.") from None
        except BadMessage:
            return {}

    async def _serve(self, line: Subscriber, expiry: datetime) -> None:
        session = Conversation(line, self._board)
        session.ends_at(expiry)
        self._board.connect(line)
        talk = asyncio.create_task(self._listen(session))
        ends: list[asyncio.Future[Any]] = [line.cut, talk]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._board.hang_up(line)
            session.expiry.cancel()
            talk.cancel()
            (outcome,) = await asyncio.gather(talk, return_exceptions=True)
        if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect):
            log.error("hub.front.socket_failed", exc_info=outcome)
        if line.cut.done():
            await self._close(*line.cut.result())

    async def _listen(self, session: "Conversation") -> None:
        while True:
            try:
                await session.hear(await self._read())
            except BadMessage as mistake:
                session.line.send(_frame("error", {"message": str(mistake)}))
            except Refused as refusal:
                session.line.end(refusal.code, refusal.reason)
                return

    async def _read(self) -> dict[str, Any]:
        """The next message, bounded by the server; raises BadMessage or WebSocketDisconnect."""
        received = await self._websocket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received.get("code") or 1006)
        text = received.get("text")
        if text is None:
            raise BadMessage("Send text frames with JSON.")
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise BadMessage("Invalid JSON") from None
        if not isinstance(message, dict):
            raise BadMessage("Send a JSON object with a type.")
        return message

    async def _deny(self, refusal: RateLimited) -> None:
        """Answer the handshake with a problem document."""
        request_id = long_answers.request_id_of(self._websocket)
        answer = long_answers.problem(refusal, request_id, self._toll.headers())
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._websocket.send_denial_response(answer)

    async def _close(self, code: int, reason: str) -> None:
        """Say goodbye; a client that does not take it is left to the server's own timeout."""
        if self._websocket.application_state is not WebSocketState.CONNECTED:
            return
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._websocket.close(code, reason)


class Allowance:
    """So many at once, and then so many a second. Raises Refused beyond."""

    def __init__(self, most: int, *, per_second: float) -> None:
        self._most = float(most)
        self._per_second = per_second
        self._left = self._most
        self._at = asyncio.get_running_loop().time()

    def take(self) -> None:
        """One of them."""
        now = asyncio.get_running_loop().time()
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            raise Refused(TOO_OFTEN, "Too many messages. Connect again in a minute.")
        self._left -= 1


class Conversation:
    """What an authenticated client may say."""

    def __init__(self, line: Subscriber, board: Switchboard) -> None:
        self.line = line
        self.expiry: asyncio.TimerHandle
        self._board = board
        self._allowance = Allowance(QUESTIONS, per_second=1.0)

    def ends_at(self, moment: datetime) -> None:
        """Cut the line when its token ends, unless a newer one comes."""
        seconds = (moment - clock.now()).total_seconds()
        self.expiry = asyncio.get_running_loop().call_later(
            max(0.0, seconds), self.line.end, UNAUTHENTICATED, "The token has expired."
        )

    async def hear(self, message: dict[str, Any]) -> None:
        """Answer one message; raises BadMessage or Refused."""
        match message.get("type"):
            case "ping":
                self.line.send(PONG)
            case "auth":
                self._allowance.take()
                await self._renew(message)
            case "subscribe":
                self._allowance.take()
                await self._subscribe(message)
            case "unsubscribe":
                self._unsubscribe(message)
            case _:
                raise BadMessage("Unknown type. Send ping, auth, subscribe or unsubscribe.")

    async def _renew(self, message: dict[str, Any]) -> None:
        address = self.line.caller.address
        caller, expiry = await _authenticate(message.get("token"), address, Toll(address))
        if caller.user_id != self.line.caller.user_id:
            raise Refused(UNAUTHENTICATED, "This socket belongs to another user.")
        self.line.caller = caller
        self.expiry.cancel()
        self.ends_at(expiry)
        self.line.send(_authenticated(expiry))

    async def _subscribe(self, message: dict[str, Any]) -> None:
        pattern = _pattern(message)
        # Rights may have changed since the last round of checks.
        await self._board.recheck({self.line})
        if self.line.cut.done():
            return
        if not self.line.caller.readable.intersection(switchboard.matches(pattern)):
            raise BadMessage(f"You may not read {pattern}. Ask an administrator.")
        if len(self.line.patterns | {pattern}) > SUBSCRIPTIONS:
            raise BadMessage(f"At most {SUBSCRIPTIONS} subscriptions. Unsubscribe from another.")
        self._board.subscribe(self.line, pattern)
        self.line.send(_frame("subscribed", {"event": pattern}))

    def _unsubscribe(self, message: dict[str, Any]) -> None:
        pattern = _pattern(message)
        self._board.unsubscribe(self.line, pattern)
        self.line.send(_frame("unsubscribed", {"event": pattern}))


def _pattern(message: dict[str, Any]) -> str:
    pattern = message.get("event")
    if not isinstance(pattern, str) or not any(switchboard.matches(pattern)):
        raise BadMessage("Unknown event. Name one such as task.created, or task.* for all of task.")
    return pattern


async def _authenticate(token: object, address: str, toll: Toll) -> tuple[callers.Caller, datetime]:
    if not isinstance(token, str):
        raise Refused(UNAUTHENTICATED, "Send the access token as `token`.")
    try:
        return await database.ask(_admit, token, address, toll, now=clock.now())
    except RateLimited as refusal:
        raise Refused(TOO_OFTEN, refusal.detail) from None
    except TokenRefused as refusal:
        raise Refused(UNAUTHENTICATED, refusal.detail) from None
    except Forbidden as refusal:
        raise Refused(FORBIDDEN, refusal.detail) from None
    except DatabaseError:
        raise Refused(TRY_AGAIN, "The hub cannot check the token now. Connect again.") from None


def _admit(
    token: str, address: str, toll: Toll, *, now: datetime
) -> tuple[callers.Caller, datetime]:
    caller, expiry = callers.authenticate(token=token, address=address, now=now)
    toll.charge(caller.budget)
    return caller, expiry


def _is_origin_ours(websocket: WebSocket) -> bool:
    """Whether the page that connects is ours; what sends no Origin is no browser."""
    origin = websocket.headers.get("origin")
    if origin is None or origin == settings.HUB_PUBLIC_URL:
        return True
    scheme, _, host = origin.partition("://")
    return scheme in {"http", "https"} and host == long_answers.host_of(websocket)


def _authenticated(expiry: datetime) -> bytes:
    return _frame("authenticated", {"expires_at": expiry.isoformat()})


def _frame(kind: str, data: dict[str, Any]) -> bytes:
    return wire.text_frame(orjson.dumps({"type": kind, "data": data}))
