"""Sockets of API keys, and of people whose network is kept out."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from accounts.models import ApiKey, User
from accounts.operations import api_keys, network
from kernel import clock
from tests.accounts import factories
from tests.events.factories import publish_now
from tests.hub.front.peer import Client, Front

pytestmark = pytest.mark.django_db(transaction=True)


def enter(client: Client, token: str) -> Client:
    assert client.ask(type="auth", token=token)[0] == "authenticated"
    return client


def shut_out(user: User, cidr: str) -> None:
    """Keep a network out; the administrator who says so is elsewhere."""
    network.replace_rules(
        organization_id=user.organization_id,
        rules=[{"cidr": cidr, "action": "deny", "description": ""}],
        actor=factories.make_actor(user),
        now=clock.now(),
    )


def test_a_key_hears_what_its_scopes_allow(front: Front, viewer: User) -> None:
    key = factories.make_key(viewer, "event.read", "task.read")

    with front.connect() as client:
        enter(client, key).subscribe("task.*")
        refused = client.ask(type="subscribe", event="agent.status")
        publish_now(viewer.organization, number=1)

        assert refused[0] == "error"
        assert client.hear()[0] == "task.created"


def test_a_key_without_the_door_is_closed(front: Front, viewer: User) -> None:
    key = factories.make_key(viewer, "knowledge.read")

    with front.connect() as client:
        client.say(type="auth", token=key)

        assert client.close_code() == 4403


def revoke(key: ApiKey) -> None:
    user = key.user
    api_keys.revoke_key(
        organization_id=user.organization_id,
        key_id=key.pk,
        actor=factories.make_actor(user),
        now=clock.now(),
    )


def expire(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(expires_at=clock.now() - timedelta(seconds=1))


def disable(key: ApiKey) -> None:
    User.objects.filter(pk=key.user_id).update(is_active=False)


def narrow(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(scopes=["task.read"])


@pytest.mark.parametrize("end", [revoke, expire, disable, narrow])
def test_the_end_of_a_key_ends_its_sockets(
    front: Front, viewer: User, end: Callable[[Any], None]
) -> None:
    key = factories.make_key(viewer, "event.read", "task.read")

    with front.connect() as client:
        enter(client, key)
        end(ApiKey.objects.select_related("user").get())

        assert client.close_code() == 4401


def test_a_network_that_is_kept_out_opens_no_socket(front: Front, viewer: User) -> None:
    shut_out(viewer, "127.0.0.0/8")

    with front.connect() as client:
        client.say(type="auth", token=factories.make_token(viewer))

        assert client.close_code() == 4403


def test_a_network_that_is_kept_out_loses_its_sockets(
    front: Front, viewer: User, stranger: User
) -> None:
    with front.client(stranger) as other, front.client(viewer) as client:
        shut_out(viewer, "127.0.0.0/8")

        assert client.close_code() == 4401
        assert other.ask(type="ping") == ("pong", None)
