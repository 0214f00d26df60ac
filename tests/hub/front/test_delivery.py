"""What a socket hears, and what it may say."""

import json

import pytest

from accounts.models import Organization, User
from events import choices, operations
from events.choices import EventType
from hub.front import sockets
from kernel import clock
from tests.accounts import factories
from tests.events.factories import publish, publish_now
from tests.hub.front.peer import Front

pytestmark = pytest.mark.django_db(transaction=True)


def test_only_subscribed_events_arrive(front: Front, viewer: User) -> None:
    with front.client(viewer, "task.completed", "agent.status") as client:
        publish_now(viewer.organization, 1, type="task.created")
        publish_now(viewer.organization, 2, type="task.completed")
        publish_now(viewer.organization, 3, type="agent.status")

        assert client.hear() == ("task.completed", {"number": 2})
        assert client.hear() == ("agent.status", {"number": 3})


def test_a_burst_reaches_whoever_reads(front: Front, viewer: User) -> None:
    with front.client(viewer, "task.*") as client:
        for number in range(1, 1001):
            publish(viewer.organization, number)
        operations.relay_outbox(now=clock.now())

        assert client.numbers(1000) == list(range(1, 1001))


@pytest.mark.parametrize("pattern", ["task.*", "*"])
def test_a_star_stands_for_every_ending(front: Front, viewer: User, pattern: str) -> None:
    with front.client(viewer, pattern) as client:
        for number, kind in enumerate(("task.created", "task.updated", "task.failed")):
            publish_now(viewer.organization, number, type=kind)

        assert client.numbers(3) == [0, 1, 2]


def test_overlapping_subscriptions_deliver_once(front: Front, viewer: User) -> None:
    with front.client(viewer, "task.*", "*", "task.created") as client:
        publish_now(viewer.organization, 1)
        publish_now(viewer.organization, 2)

        assert client.numbers(2) == [1, 2]


def test_another_organizations_events_never_arrive(
    front: Front, viewer: User, stranger: User
) -> None:
    with front.client(viewer, "*") as ours, front.client(stranger, "*") as theirs:
        publish_now(stranger.organization, 1)
        publish_now(viewer.organization, 2)
        publish_now(stranger.organization, 3)

        assert ours.numbers(1) == [2]
        assert theirs.numbers(2) == [1, 3]


def test_a_notification_reaches_its_user_only(front: Front, viewer: User, admin: User) -> None:
    with front.client(viewer, "notification") as hers, front.client(admin, "*") as his:
        publish_now(viewer.organization, 1, type="notification", user_id=viewer.pk)
        publish_now(viewer.organization, 2, type="notification", user_id=admin.pk)

        assert hers.hear() == ("notification", {"number": 1})
        assert his.hear() == ("notification", {"number": 2})


def test_every_socket_of_a_user_hears(front: Front, viewer: User) -> None:
    with front.client(viewer, "task.*") as one, front.client(viewer, "task.*") as other:
        publish_now(viewer.organization, 1)

        assert (one.numbers(1), other.numbers(1)) == ([1], [1])


def test_live_events_arrive(front: Front, viewer: User) -> None:
    with front.client(viewer, "task.output") as client:
        operations.stream(
            organization_id=viewer.organization_id,
            type="task.output",
            data={"task_id": "7", "text": "Hëllo"},
        )

        assert client.hear() == ("task.output", {"task_id": "7", "text": "Hëllo"})


def test_unsubscribing_ends_delivery(front: Front, viewer: User) -> None:
    with front.client(viewer, "task.*", "agent.status") as client:
        answer = client.ask(type="unsubscribe", event="task.*")
        publish_now(viewer.organization, 1)
        publish_now(viewer.organization, 2, type="agent.status")

        assert answer == ("unsubscribed", {"event": "task.*"})
        assert client.hear() == ("agent.status", {"number": 2})


@pytest.mark.parametrize("event", ["task.invented", "tas*", "*.created", "", 7, None, ["task.*"]])
def test_an_unknown_event_is_refused(front: Front, viewer: User, event: object) -> None:
    with front.client(viewer) as client:
        kind, data = client.ask(type="subscribe", event=event)

        assert kind == "error"
        assert data["message"].startswith("Unknown event.")


def test_the_fifty_first_subscription_is_refused(
    front: Front, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choices, "_types", dict(choices._types))
    names = [f"probe.n{number}" for number in range(51)]
    choices.register(*(EventType(name, "task.read") for name in names))

    with front.client(viewer, *names[:50]) as client:
        kind, data = client.ask(type="subscribe", event=names[50])
        again = client.ask(type="subscribe", event=names[0])

        assert (kind, data["message"]) == (
            "error",
            "At most 50 subscriptions. Unsubscribe from another.",
        )
        assert again == ("subscribed", {"event": names[0]})


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        ("{", "Invalid JSON"),
        ("", "Invalid JSON"),
        ('{"a":' * 10_000, "Invalid JSON"),
        ('{"type":"ping"}\x00', "Invalid JSON"),
        (b'{"type":"ping"}', "Send text frames with JSON."),
        ("[]", "Send a JSON object with a type."),
        ("null", "Send a JSON object with a type."),
        ("{}", "Unknown type. Send ping, auth, subscribe or unsubscribe."),
        ('{"type":["ping"]}', "Unknown type. Send ping, auth, subscribe or unsubscribe."),
        ('{"type":"publish"}', "Unknown type. Send ping, auth, subscribe or unsubscribe."),
    ],
)
def test_what_cannot_be_read_is_answered_and_forgiven(
    front: Front, viewer: User, frame: str | bytes, answer: str
) -> None:
    with front.client(viewer) as client:
        client.connection.send(frame)

        assert client.hear() == ("error", {"message": answer})
        assert client.ask(type="ping") == ("pong", None)


@pytest.mark.parametrize(("size", "code"), [(64 * 1024, None), (64 * 1024 + 1, 1009)])
def test_a_message_may_have_64_kib(front: Front, viewer: User, size: int, code: int | None) -> None:
    frame = json.dumps({"type": "ping", "padding": ""})
    frame = frame[:-2] + "x" * (size - len(frame)) + frame[-2:]

    with front.client(viewer) as client:
        client.connection.send(frame)

        assert (client.hear() if code is None else client.close_code()) == (code or ("pong", None))


def test_a_client_that_does_not_read_is_dropped(
    front: Front, viewer: User, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "CLOSE_SECONDS", 20.0)
    text = "x" * 50_000

    with (
        front.connect(f"?token={factories.make_token(viewer)}", max_queue=1) as slow,
        front.client(admin, "task.output") as quick,
    ):
        slow.subscribe("task.output")
        for number in range(1000):
            stream(viewer.organization, number, text)
            assert quick.numbers(1) == [number]

        assert slow.close_code() == 4408
        assert quick.ask(type="ping") == ("pong", None)


def stream(organization: Organization, number: int, text: str) -> None:
    operations.stream(
        organization_id=organization.pk,
        type="task.output",
        data={"number": number, "text": text},
    )
