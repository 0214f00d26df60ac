"""Frames on their way to many sockets: order, readers that stall, readers that leave."""

import asyncio
import json
import socket
import threading
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.client import connect

from accounts.models import Organization, User
from events import operations
from hub.front import callers, sockets, wire
from tests.accounts import factories
from tests.events.factories import publish_now
from tests.hub.front.peer import Front

pytestmark = pytest.mark.django_db(transaction=True)
CROWD = 200


def stream(organization: Organization, number: int, text: str = "") -> None:
    """A live event."""
    operations.stream(
        organization_id=organization.pk,
        type="task.output",
        data={"number": number, "text": text},
    )


def open_by_hand(front: Front, user: User) -> socket.socket:
    """A subscribed socket whose reads and end are the test's own."""
    connection = socket.create_connection(("127.0.0.1", front.port), timeout=20)
    connection.sendall(
        f"GET /ws?token={factories.make_token(user)} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    read_until(connection, b"\r\n\r\n")
    say(connection, {"type": "subscribe", "event": "task.*"})
    read_until(connection, b'"subscribed"')
    return connection


def say_for_ever(connection: socket.socket) -> None:
    """Until the connection breaks."""
    while True:
        say(connection, {"type": "ping"})


def read_until(connection: socket.socket, end: bytes) -> None:
    """Read up to `end`, and perhaps more."""
    received = b""
    while end not in received:
        part = connection.recv(4096)
        assert part, received
        received += part


def say(connection: socket.socket, message: dict[str, str]) -> None:
    """Send a message, masked with zeros."""
    payload = json.dumps(message).encode()
    connection.sendall(bytes((0x81, 0x80 | len(payload), 0, 0, 0, 0)) + payload)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 300_000])
def test_a_frame_is_one_of_every_size(front: Front, viewer: User, size: int) -> None:
    with front.client(viewer, "task.output") as client:
        stream(viewer.organization, size, "x" * size)

        assert client.hear() == ("task.output", {"number": size, "text": "x" * size})


def test_whoever_stalls_and_reads_on_gets_all_in_order(
    front: Front, viewer: User, admin: User
) -> None:
    with (
        front.connect(f"?token={factories.make_token(viewer)}", max_queue=1) as slow,
        front.client(admin, "task.output") as quick,
    ):
        slow.subscribe("task.output")
        for number in range(250):
            stream(viewer.organization, number, "x" * 50_000)
            assert quick.numbers(1) == [number]
        slow.say(type="ping")

        assert slow.numbers(250) == list(range(250))
        assert slow.hear() == ("pong", None)


def test_whoever_never_reads_is_cut_off_without_a_goodbye(
    front: Front, viewer: User, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "CLOSE_SECONDS", 0.1)
    monkeypatch.setattr(wire, "FAREWELL_SECONDS", 0.1)

    with open_by_hand(front, viewer) as deaf, front.client(admin, "task.output") as quick:
        for number in range(600):
            stream(viewer.organization, number, "x" * 50_000)
            assert quick.numbers(1) == [number]
        with pytest.raises(OSError, match=r"reset|Broken pipe|aborted"):
            say_for_ever(deaf)


def test_whoever_leaves_in_the_middle_disturbs_nobody(
    front: Front, viewer: User, admin: User, caplog: pytest.LogCaptureFixture
) -> None:
    with front.client(admin, "task.output") as one, front.client(admin, "task.output") as other:
        for number in range(40):
            leaving = open_by_hand(front, viewer)
            stream(viewer.organization, number, "x" * 5_000)
            if number % 2:  # with what came unread, which resets the connection
                assert one.numbers(1) == [number]
            else:
                leaving.sendall(b"\x88\x80\x00\x00\x00\x00")
                assert one.numbers(1) == [number]
            leaving.close()

        assert other.numbers(40) == list(range(40))
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_rights_that_go_between_two_events_go_without_a_word_of_the_client(
    front: Front, viewer: User, withdraw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = threading.Semaphore(0)
    ask = callers.list_present

    def look(**arguments: Any) -> Any:
        answer = ask(**arguments)
        looks.release()
        return answer

    with front.client(viewer, "task.created", "agent.status") as client:
        publish_now(viewer.organization, 1, type="task.created")
        assert client.numbers(1) == [1]
        withdraw("task.read")
        monkeypatch.setattr(callers, "list_present", look)
        # The answer to the first look is in force when the second begins.
        assert looks.acquire(timeout=10)
        assert looks.acquire(timeout=10)
        publish_now(viewer.organization, 2, type="task.created")
        publish_now(viewer.organization, 3, type="agent.status")

        assert client.numbers(1) == [3]


def test_a_crowd_hears_every_event_once_and_in_order(
    front: Front, viewer: User, admin: User, stranger: User
) -> None:
    people = [(viewer, admin, viewer, stranger)[number % 4] for number in range(CROWD)]
    tokens = {user.pk: factories.make_token(user) for user in people}
    everybody = threading.Barrier(2, timeout=60)

    async def hear(user: User, gate: asyncio.Semaphore) -> list[int]:
        async with connect(f"{front.url}?token={tokens[user.pk]}", proxy=None) as client:
            async with gate:
                await client.send('{"type":"subscribe","event":"*"}')
                assert json.loads(await client.recv())["type"] == "subscribed"
            subscribed.append(user)
            if len(subscribed) == CROWD:
                everybody.wait()
            count = 10 if user == stranger else 40
            return [json.loads(await client.recv())["data"]["number"] for _ in range(count)]

    async def hear_all() -> list[list[int]]:
        gate = asyncio.Semaphore(20)
        async with asyncio.timeout(90):
            return await asyncio.gather(*(hear(user, gate) for user in people))

    subscribed: list[User] = []
    heard: list[list[int]] = []
    thread = threading.Thread(target=lambda: heard.extend(asyncio.run(hear_all())))
    thread.start()
    everybody.wait()
    for number in range(40):
        publish_now(viewer.organization, number)
        if number % 4 == 0:
            publish_now(stranger.organization, 100 + number)
    thread.join()

    theirs = [100 + number for number in range(0, 40, 4)]
    assert heard == [theirs if user == stranger else list(range(40)) for user in people]


def test_pings_of_whoever_does_not_read_are_not_read_either(front: Front, viewer: User) -> None:
    with open_by_hand(front, viewer) as connection:
        connection.settimeout(2)
        sent = flood(connection, at_most=200_000_000)

    assert sent < 50_000_000  # what fits into the buffers of two ends, not what we like


def flood(connection: socket.socket, *, at_most: int) -> int:
    """Send pings until nobody takes them any more; how many bytes were taken."""
    ping = b"\x89\xfd" + b"\0" * 4 + b"x" * 125  # masked with nothing
    sent = 0
    with suppress(TimeoutError):
        while sent < at_most:
            sent += connection.send(ping * 500)
    return sent


def test_a_message_in_endless_pieces_is_ended(front: Front, viewer: User) -> None:
    connection = open_by_hand(front, viewer)

    with connection:
        connection.sendall(b"\x01\x80" + b"\0" * 4)  # the first piece of a text
        connection.sendall((b"\x00\x80" + b"\0" * 4) * 2000)
        read_until(connection, (1009).to_bytes(2, "big"))
