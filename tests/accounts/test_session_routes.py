"""Seed 004's routes about the caller."""

from collections.abc import Callable
from typing import Any, Final

import pytest
from django.test import Client

from accounts.models import Role, RoleAssignment, Session, User
from tests.accounts.factories import make_key, make_token
from tests.clients import ApiClient

pytestmark = pytest.mark.django_db
COOKIE: Final = "agenthub-access-token"
PATHS: Final = ("/currentuser", "/permissions", "/permissions/task.read")
Api = Callable[[User | None], ApiClient]


def only(user: User, *keys: str, **scope: str) -> RoleAssignment:
    """Have `user` hold just `keys`, for `scope`."""
    user.assignments.all().delete()
    role = Role.objects.create(organization=user.organization, name="one", permissions=keys)
    return RoleAssignment.objects.create(
        organization=user.organization, user=user, role=role, scope=scope
    )


def with_cookie(user: User) -> Client:
    client = Client()
    client.cookies[COOKIE] = make_token(user)
    return client


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_session_is_shown_in_seed_004s_words(viewer: User, slash: str) -> None:
    token = make_token(viewer)

    answer = Client().get(f"/currentuser{slash}", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 200
    assert answer["Cache-Control"] == "private, no-store"
    assert answer.json() == {
        "sessionId": str(Session.objects.get().pk),
        "userId": str(viewer.pk),
        "email": viewer.email,
        "fullname": "The viewer",
        "roleId": "viewer",
        "tenantId": str(viewer.organization_id),
        "tenantCodename": viewer.organization.slug,
        "accessToken": token,
    }


def test_the_token_of_a_cookie_is_not_told(viewer: User) -> None:
    answer = with_cookie(viewer).get("/currentuser")

    assert answer.json()["userId"] == str(viewer.pk)
    assert "accessToken" not in answer.json()


def test_an_api_key_is_not_told(viewer: User) -> None:
    key = make_key(viewer, "read")

    answer = Client().get("/currentuser", headers={"X-API-Key": key})

    assert answer.json()["userId"] == str(viewer.pk)
    assert key not in answer.content.decode()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"X-API-Key": "ahk_x"}])
def test_a_stranger_finds_no_login(client: Client, path: str, headers: dict[str, str]) -> None:
    answer = client.get(path, headers=headers)

    assert answer.status_code == 401
    assert answer.json() == {"status": "ERR", "message": "No login found"}
    assert answer["Content-Type"] == "application/json"
    assert answer["WWW-Authenticate"] == 'Bearer realm="agent-hub"'


def test_other_refusals_are_in_seed_004s_words(api: Api, viewer: User) -> None:
    answer = api(viewer).post("/currentuser")

    body = answer.json()
    assert answer.status_code == 405
    assert body.keys() == {"result", "status", "message", "errCode", "date", "detail"}
    assert (body["result"], body["status"]) == ("ERR", 405)
    assert (body["message"], body["errCode"]) == ("errMsg_MethodNotAllowed", 405)


def test_permissions_are_listed_one_by_one(api: Api, viewer: User) -> None:
    held = only(viewer, "task.read", "agent.read")

    listed = api(viewer).get("/permissions").json()

    assert [row["permissionName"] for row in listed] == ["agent.read", "task.read"]
    assert listed == api(viewer).get("/permissions/").json()
    ids = {row.pop("id") for row in listed}
    assert len(ids - {str(held.pk)}) == 2
    assert listed[1] == {
        "permissionName": "task.read",
        "roleId": "one",
        "subjectUserId": str(viewer.pk),
        "subjectUserGroupId": None,
        "objectId": None,
        "canDo": True,
        "tenantCodename": viewer.organization.slug,
    }


@pytest.mark.parametrize(
    ("scope", "objects", "checked"),
    [
        ({}, [None], {"canDo": True, "exceptions": []}),
        ({"project_id": "p1"}, ["p1"], {"canDo": False, "exceptions": ["p1"]}),
        ({"agent_id": "a1"}, ["a1"], {"canDo": False, "exceptions": ["a1"]}),
        ({"environment": "prod"}, [], {"canDo": False, "exceptions": []}),
        ({"project_id": "p1", "agent_id": "a1"}, [], {"canDo": False, "exceptions": []}),
    ],
)
def test_a_scope_is_shown_as_an_object_or_not_at_all(
    api: Api, viewer: User, scope: dict[str, str], objects: list[str], checked: dict[str, Any]
) -> None:
    only(viewer, "task.read", **scope)
    client = api(viewer)

    assert [row["objectId"] for row in client.get("/permissions").json()] == objects
    assert client.get("/permissions/task.read").json() == checked
    assert client.get("/permissions/task.edit").json() == {"canDo": False, "exceptions": []}


@pytest.mark.parametrize("name", ["nothing", "person", "anyone", "task.read%00", "%F0%9F%98%80"])
def test_an_unknown_permission_is_held_by_nobody(api: Api, admin: User, name: str) -> None:
    answer = api(admin).get(f"/permissions/{name}")

    assert answer.status_code == 200
    assert answer.json() == {"canDo": False, "exceptions": []}


def test_a_keys_permissions_are_those_within_its_scopes(admin: User) -> None:
    headers = {"X-API-Key": make_key(admin, "task.read", "role.edit")}

    listed = Client().get("/permissions", headers=headers).json()
    edits = Client().get("/permissions/task.edit", headers=headers).json()

    assert [row["permissionName"] for row in listed] == ["role.edit", "task.read"]
    assert edits == {"canDo": False, "exceptions": []}
