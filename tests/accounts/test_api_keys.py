"""API keys over HTTP: made once, shown once, never more than their owner, gone at once."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import pytest
from django.test import Client

from accounts.choices import UserRole
from accounts.errors import TooManyKeys
from accounts.models import ApiKey, User
from accounts.operations import api_keys, callers
from audit.models import AuditEvent
from kernel import clock
from kernel.errors import DomainError
from tests.accounts.factories import make_actor, make_key, make_organization, make_user
from tests.clients import ApiClient
from tests.footprint import footprint
from tests.threads import race

pytestmark = pytest.mark.django_db(transaction=True)
KEYS: Final = "/api/v1/security/api-keys"
Api = Callable[[User | None], ApiClient]


def status(key: str, path: str = "/api/v1/tasks", method: str = "get") -> int:
    send = getattr(Client(headers={"Authorization": f"Bearer {key}"}), method)
    return int(send(path, {}, content_type="application/json").status_code)


def make(client: ApiClient, **values: Any) -> Any:
    return client.post(KEYS, {"name": "CI", **values})


@pytest.mark.parametrize("path", [KEYS, KEYS + "/"])
def test_a_new_key_is_shown_once(api: Api, operator: User, path: str) -> None:
    client = api(operator)

    answer = client.post(path, {"name": "CI"})

    body = answer.json()
    key = body.pop("key")
    row = ApiKey.objects.get()
    assert answer.status_code == 201
    assert key.startswith("ahk_")
    assert len(key) == 4 + 43
    assert datetime.fromisoformat(body.pop("created_at")) == row.created_at
    assert body == {
        "id": str(row.pk),
        "name": "CI",
        "key_prefix": key[:12],
        "scopes": ["read"],
        "expires_at": None,
        "last_used_at": None,
    }
    assert "key" not in client.get(KEYS).json()["items"][0]
    assert key not in str(footprint())
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.resource_id) == ("api_key.create", str(row.pk))


def test_a_key_opens_what_its_scopes_and_its_owner_may(api: Api, operator: User) -> None:
    key = make(api(operator), scopes=["task.read"]).json()["key"]

    assert status(key) == 200
    assert status(key, "/api/v1/agents") == 403
    operator.assignments.all().delete()
    callers.forget(organization_id=operator.organization_id)
    assert status(key) == 403


@pytest.mark.parametrize(
    ("scopes", "answer"),
    [
        (["read"], 201),
        (["write"], 201),
        (["task.read", "task.read"], 201),
        (["role.edit"], 403),
        (["security.edit", "task.read"], 403),
        (["api_key.edit"], 422),
        (["task.eat"], 422),
        (["*"], 422),
        ([], 422),
        ("read", 422),
        ([["read"]], 422),
        (["x" * 65], 422),
    ],
)
def test_scopes_are_known_and_the_owners_own(
    api: Api, operator: User, scopes: Any, answer: int
) -> None:
    made = make(api(operator), scopes=scopes)

    assert made.status_code == answer
    assert ApiKey.objects.exists() is (answer == 201)


def test_a_lacking_scope_is_named(api: Api, operator: User) -> None:
    assert make(api(operator), scopes=["role.edit"]).json()["permission"] == "role.edit"


@pytest.mark.parametrize(
    "values",
    [
        {"name": ""},
        {"name": "x" * 256},
        {"name": "a\x00b"},
        {"expires_at": "tomorrow"},
        {"expires_at": "2020-01-01T00:00:00Z"},
    ],
)
def test_what_is_malformed_is_422(api: Api, operator: User, values: dict[str, Any]) -> None:
    client = api(operator)
    before = footprint()

    assert make(client, **values).status_code == 422
    assert footprint() == before


def test_a_key_ends_when_it_was_to(api: Api, operator: User) -> None:
    soon = clock.now() + timedelta(hours=1)
    key = make(api(operator), expires_at=soon.isoformat()).json()["key"]
    assert status(key) == 200

    ApiKey.objects.update(expires_at=clock.now())

    assert api_keys_of(operator) == []
    assert status(make_key(operator, "read", expires_at=clock.now())) == 401


def api_keys_of(user: User) -> list[ApiKey]:
    return [key for key in ApiKey.objects.filter(user=user) if key.is_alive(now=clock.now())]


def test_a_revoked_key_is_refused_with_its_next_request(api: Api, operator: User) -> None:
    client = api(operator)
    made = make(client).json()
    assert status(made["key"]) == 200

    answer = client.delete(f"{KEYS}/{made['id']}")

    assert answer.status_code == 204
    assert status(made["key"]) == 401
    assert client.get(KEYS).json()["items"] == []
    assert AuditEvent.objects.latest("pk").action == "api_key.revoke"
    assert client.delete(f"{KEYS}/{made['id']}").status_code == 204


def test_keys_of_others_are_not_there(api: Api, admin: User, operator: User) -> None:
    made = make(api(operator)).json()
    before = footprint()

    answer = api(admin).delete(f"{KEYS}/{made['id']}")

    assert answer.status_code == 404
    assert api(admin).get(KEYS).json()["items"] == []
    assert footprint()["accounts.ApiKey"] == before["accounts.ApiKey"]


def test_a_viewer_makes_no_keys_and_revokes_those_they_had(api: Api, viewer: User) -> None:
    make_key(viewer, "read")
    client = api(viewer)
    key_id = client.get(KEYS).json()["items"][0]["id"]

    assert make(client).status_code == 403
    assert client.delete(f"{KEYS}/{key_id}").status_code == 204


def test_a_key_neither_makes_nor_revokes_keys(keyed: ApiClient) -> None:
    key_id = ApiKey.objects.get().pk

    assert make(keyed).status_code == 403
    assert keyed.delete(f"{KEYS}/{key_id}").status_code == 403
    assert keyed.get(KEYS).status_code == 403


def test_a_malformed_id_is_422(api: Api, operator: User) -> None:
    assert api(operator).delete(f"{KEYS}/x").status_code == 422


def test_one_person_has_so_many_and_no_more_even_at_once() -> None:
    user = make_user(make_organization(), role=UserRole.OPERATOR)
    for _ in range(49):
        make_key(user, "read")
    make_key(user, "read", revoked_at=clock.now())

    def one_more() -> object:
        return api_keys.create_key(
            user=user,
            name="One more",
            scopes=["read"],
            expires_at=None,
            actor=make_actor(user),
            now=clock.now(),
        )

    outcomes = race(one_more, one_more)

    assert sorted(type(o).__name__ for o in outcomes) == ["NewKey", "TooManyKeys"]
    assert issubclass(TooManyKeys, DomainError)


def test_a_repeated_request_is_not_answered_with_the_key_again(api: Api, operator: User) -> None:
    client = api(operator)

    first, second = (
        client.post(KEYS, {"name": "CI"}, headers={"Idempotency-Key": "once"}) for _ in range(2)
    )

    assert (first.status_code, second.status_code) == (201, 409)
    assert second.json()["code"] == "idempotency.not_replayable"
