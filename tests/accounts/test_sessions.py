"""Sessions over HTTP: listed, ended by their owner or an administrator, also without Redis."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest
import redis
from django.db import connection
from django.test import Client

from accounts.clients import stamps
from accounts.models import Session, User
from accounts.operations import sessions
from audit.models import AuditEvent
from kernel import clock, redis_client
from tests.accounts.factories import PASSWORD, enter_console, make_actor, make_token
from tests.clients import ApiClient

pytestmark = pytest.mark.django_db(transaction=True)
OWN: Final = "/api/v1/auth/sessions"
ALL: Final = "/api/v1/security/sessions"
Api = Callable[[User | None], ApiClient]


def listed(client: ApiClient, path: str, **query: Any) -> list[dict[str, Any]]:
    answer = client.get(path, **query)
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_an_item_has_what_the_contract_names(api: Api, admin: User) -> None:
    client = api(admin)

    (item,) = listed(client, ALL)

    session = Session.objects.get()
    times = {name: item.pop(name) for name in ("created_at", "expires_at", "last_seen_at")}
    assert item == {
        "id": str(session.pk),
        "user_id": str(admin.pk),
        "email": admin.email,
        "kind": "api",
        "ip_address": None,
        "user_agent": "manage.py",
        "mfa_at": None,
        "current": True,
    }
    assert all(times.values())


def test_administrators_see_everybodys_and_people_their_own(
    api: Api, admin: User, viewer: User, stranger: User
) -> None:
    make_token(stranger)
    seen_by_viewer = listed(api(viewer), OWN)
    seen_by_admin = listed(api(admin), ALL)

    assert {item["email"] for item in seen_by_viewer} == {viewer.email}
    assert {item["email"] for item in seen_by_admin} == {admin.email, viewer.email}
    assert [item["current"] for item in seen_by_admin] == [True, False]
    assert api(viewer).get(ALL).status_code == 403


def test_an_administrator_sees_those_of_one_person(
    api: Api, admin: User, viewer: User, stranger: User
) -> None:
    client = api(admin)
    make_token(viewer)
    make_token(stranger)

    assert [item["email"] for item in listed(client, ALL, user_id=viewer.pk)] == [viewer.email]
    assert listed(client, ALL, user_id=stranger.pk) == []
    refused = client.get(ALL, user_id="viewer")
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["user_id"]
    assert {item["email"] for item in listed(client, OWN, user_id=viewer.pk)} == {admin.email}


def test_only_what_counts_is_listed(api: Api, admin: User, viewer: User) -> None:
    now = clock.now()
    make_token(viewer, now=now - timedelta(hours=25))
    make_token(viewer)
    Session.objects.filter(user=viewer, expires_at__gt=now).update(revoked_at=now)
    idle = enter_console(Client(), viewer)
    Session.objects.filter(pk=idle.pk).update(last_seen_at=now - timedelta(minutes=30))
    Session.objects.create(
        organization=viewer.organization, user=viewer, kind="pending", expires_at=idle.expires_at
    )

    assert [item["email"] for item in listed(api(admin), ALL)] == [admin.email]


@pytest.mark.parametrize(("path", "who"), [(OWN, "viewer"), (ALL, "admin")])
def test_an_ended_session_is_out_with_its_next_request(
    api: Api, admin: User, viewer: User, path: str, who: str
) -> None:
    there = api(viewer).known()
    session = Session.objects.get()
    actor = {"viewer": viewer, "admin": admin}[who]

    answer = api(actor).delete(f"{path}/{session.pk}")

    event = AuditEvent.objects.latest("pk")
    assert answer.status_code == 204
    assert there.get("/api/v1/auth/me").status_code == 401
    assert (event.action, event.actor_id, event.resource_id) == (
        "session.revoke",
        str(actor.pk),
        str(session.pk),
    )


def test_sessions_of_others_are_not_there(
    api: Api, admin: User, viewer: User, stranger: User
) -> None:
    theirs = api(admin).known()
    session_id = Session.objects.get().pk
    clients = {OWN: api(viewer), ALL: api(stranger)}

    for path, client in clients.items():
        assert client.delete(f"{path}/{session_id}").status_code == 404
        assert client.delete(f"{path}/x").status_code == 422
    assert api(viewer).delete(f"{ALL}/{session_id}").status_code == 403
    assert theirs.get("/api/v1/auth/me").status_code == 200


def test_a_revoked_session_is_refused_while_redis_is_down(
    api: Api, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, other = api(viewer).known(), api(viewer).known()
    session = Session.objects.order_by("created_at").first()
    assert session is not None
    _lose_redis(monkeypatch)

    sessions.revoke(session_id=session.pk, actor=make_actor(viewer), now=clock.now())

    assert client.get("/api/v1/auth/me").status_code == 401
    assert other.get("/api/v1/auth/me").status_code == 200
    body = {"email": viewer.email, "password": PASSWORD}
    assert ApiClient().post("/api/v1/auth/login", body).status_code == 200


def test_without_redis_and_database_nothing_opens(
    api: Api, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = api(viewer).known()
    _lose_redis(monkeypatch)
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connection.settings_dict, "PORT", 1)

    answer = client.get("/api/v1/auth/me")

    connection.close()
    assert (answer.status_code, answer.json()["code"]) == (503, "service.unavailable")


def _lose_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on nobody listens where Redis was."""
    dead = redis.Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.2)
    monkeypatch.setattr(redis_client, "client", lambda **_: dead)
    stamps._silence.until = 0.0
