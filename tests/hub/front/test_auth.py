"""Who may open a socket on `/ws`, and for how long."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings

from accounts.models import Session, User
from accounts.operations import sessions
from hub.front import callers, sockets
from kernel import clock
from tests.accounts import factories
from tests.events.factories import publish_now
from tests.hub.front import peer
from tests.hub.front.peer import Front

pytestmark = pytest.mark.django_db(transaction=True)


def almost_over(user: User, monkeypatch: pytest.MonkeyPatch) -> str:
    """A token that ends three seconds after it was shown, however long that takes."""
    short, identify = factories.make_token(user), callers.identify

    def shortened(*, token: str, **more: Any) -> tuple[callers.Caller, datetime]:
        caller, expiry = identify(token=token, **more)
        return caller, clock.now() + timedelta(seconds=3) if token == short else expiry

    monkeypatch.setattr(callers, "identify", shortened)
    return short


def test_a_token_in_the_first_message_opens_the_socket(front: Front, viewer: User) -> None:
    token = factories.make_token(viewer)

    with front.connect() as client:
        answer = client.ask(type="auth", token=token)

        assert answer[0] == "authenticated"
        assert client.ask(type="ping") == ("pong", None)


def test_a_token_in_the_query_opens_the_socket(front: Front, viewer: User) -> None:
    with front.connect(f"?token={factories.make_token(viewer)}") as client:
        assert client.ask(type="ping") == ("pong", None)


def test_silence_is_closed(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "AUTH_SECONDS", 0.5)

    with front.connect() as client:
        assert client.close_code() == 4401


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"ping"}',
        '{"type":"subscribe","event":"task.*"}',
        '{"type":"auth"}',
        '{"type":"auth","token":7}',
        '{"type":"auth","token":"a.b.c"}',
        '{"type":"auth"',
        "[]",
        b"\x00\xff",
    ],
)
def test_a_first_message_without_a_good_token_is_closed(front: Front, message: str | bytes) -> None:
    with front.connect() as client:
        client.connection.send(message)

        assert client.close_code() == 4401


def test_a_bad_token_in_the_query_is_closed(front: Front) -> None:
    with front.connect("?token=a.b.c") as client:
        assert client.close_code() == 4401


def test_a_refresh_token_opens_nothing(front: Front, viewer: User) -> None:
    tokens = sessions.issue_tokens(user=viewer, actor=factories.make_actor(viewer), now=clock.now())

    with front.connect() as client:
        client.say(type="auth", token=tokens.refresh)

        assert client.close_code() == 4401


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", "null", "http://127.0.0.1", "file://", "http://[", ""]
)
def test_a_foreign_page_is_closed(front: Front, viewer: User, origin: str) -> None:
    token = factories.make_token(viewer)

    with front.connect(f"?token={token}", additional_headers={"Origin": origin}) as client:
        assert client.close_code() == 4403


def test_pages_of_the_hub_may_connect(front: Front, viewer: User) -> None:
    token = factories.make_token(viewer)

    for origin in (f"http://127.0.0.1:{front.port}", settings.HUB_PUBLIC_URL):
        with front.connect(f"?token={token}", additional_headers={"Origin": origin}) as client:
            assert client.ask(type="ping") == ("pong", None)


def test_a_host_of_the_pages_own_proves_nothing(front: Front, viewer: User) -> None:
    forged = {"Host": "evil.example.com", "Origin": "http://evil.example.com"}

    with front.connect(
        f"?token={factories.make_token(viewer)}", additional_headers=forged
    ) as client:
        assert client.close_code() == 4403


def test_questions_without_end_close_the_socket(
    front: Front, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "QUESTIONS", 3)

    with front.client(viewer) as client:
        for _ in range(3):
            client.subscribe("task.*")
        client.say(type="subscribe", event="task.*")

        assert client.close_code() == 4429


def test_whoever_may_read_no_events_is_closed(
    front: Front, viewer: User, withdraw: Callable[[str], None]
) -> None:
    withdraw("event.read")

    with front.connect() as client:
        client.say(type="auth", token=factories.make_token(viewer))

        assert client.close_code() == 4403


def test_an_expired_token_closes_the_socket(
    front: Front, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = almost_over(viewer, monkeypatch)

    with front.connect() as client:
        assert client.ask(type="auth", token=short)[0] == "authenticated"

        assert client.close_code() == 4401


def test_a_newer_token_keeps_the_socket(
    front: Front, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, long = almost_over(viewer, monkeypatch), factories.make_token(viewer)

    with front.connect() as client:
        client.say(type="auth", token=short)
        client.say(type="auth", token=long)
        (_, first), (answer, renewed) = client.hear(), client.hear()

        assert answer == "authenticated"
        assert renewed["expires_at"] > first["expires_at"]
        with pytest.raises(TimeoutError):
            client.connection.recv(timeout=4.5)


@pytest.mark.parametrize("token", ["a.b.c", None])
def test_a_bad_newer_token_closes_the_socket(front: Front, viewer: User, token: Any) -> None:
    with front.client(viewer) as client:
        client.say(type="auth", token=token)

        assert client.close_code() == 4401


def test_the_socket_stays_with_its_user(front: Front, viewer: User, stranger: User) -> None:
    with front.client(viewer) as client:
        client.say(type="auth", token=factories.make_token(stranger))

        assert client.close_code() == 4401


def test_logging_out_closes_the_socket(front: Front, viewer: User) -> None:
    with front.client(viewer, "task.*") as client:
        sessions.log_out(
            session_id=Session.objects.get().pk,
            actor=factories.make_actor(viewer),
            now=clock.now(),
        )

        assert client.close_code() == 4401


def test_disabling_the_user_closes_the_socket(front: Front, viewer: User) -> None:
    with front.client(viewer) as client:
        User.objects.filter(pk=viewer.pk).update(is_active=False)

        assert client.close_code() == 4401


def test_subscribing_asks_whether_the_session_still_lives(
    transactional_db: None, viewer: User
) -> None:
    # Without `hasty`: the periodic look would come after five seconds.
    with peer.running() as front, front.client(viewer) as client:
        Session.objects.update(revoked_at=clock.now())
        client.say(type="subscribe", event="task.*")

        assert client.close_code() == 4401


def test_a_lost_permission_ends_delivery(
    front: Front, viewer: User, withdraw: Callable[[str], None]
) -> None:
    with front.client(viewer, "task.created", "agent.status") as client:
        withdraw("task.read")
        # Subscribing looks the rights up.
        client.subscribe("agent.*")
        publish_now(viewer.organization, 1, type="task.created")
        publish_now(viewer.organization, 2, type="agent.status")

        assert client.hear() == ("agent.status", {"number": 2})


def test_a_forbidden_event_cannot_be_subscribed(
    front: Front, viewer: User, withdraw: Callable[[str], None]
) -> None:
    withdraw("task.read")

    with front.client(viewer) as client:
        kind, data = client.ask(type="subscribe", event="task.created")

        assert (kind, data["message"]) == (
            "error",
            "You may not read task.created. Ask an administrator.",
        )
