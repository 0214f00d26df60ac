"""Fields that nobody reads are refused where whoever sent them would believe in them."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from accounts.models import Role, User
from tests.accounts.factories import PASSWORD
from tests.clients import ApiClient
from tests.footprint import footprint

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], ApiClient]
PERSON: Final = {"email": "ada@example.com", "password": "A long and 1 good phrase"}
CHANGE: Final = {"current_password": PASSWORD, "new_password": "Another-Horse-7-Battery"}
RULE: Final = {"cidr": "203.0.113.0/24", "action": "deny"}
CASES: Final[list[tuple[str, str, dict[str, Any], str]]] = [
    ("patch", "/admin/users/{viewer}", {"password": "x", "full_name": "Ada"}, "password"),
    ("patch", "/admin/users/{viewer}", {"email": "x@example.com"}, "email"),
    ("post", "/admin/users", {**PERSON, "scope": {"environment": "dev"}}, "scope"),
    ("post", "/admin/users", {**PERSON, "is_active": False}, "is_active"),
    ("post", "/user-roles", {"expires_at": "2030-01-01T00:00:00Z"}, "expires_at"),
    ("post", "/user-roles", {"scopes": {"environment": "dev"}}, "scopes"),
    ("post", "/roles", {"name": "r", "permission": ["task.read"]}, "permission"),
    ("patch", "/roles/{role}", {"is_system": False}, "is_system"),
    ("put", "/roles/{role}/permissions", {"permissions": [], "name": "x"}, "name"),
    ("post", "/security/api-keys", {"name": "k", "expires_in_days": 1}, "expires_in_days"),
    ("put", "/security", {"session": {"idle": 5}}, "session.idle"),
    ("put", "/security", {"sesion": {}}, "sesion"),
    ("put", "/security/password-policy", {"min_lenght": 20}, "min_lenght"),
    ("put", "/security/ip-rules", {"items": [{**RULE, "port": 1}]}, "items.0.port"),
    ("put", "/security/ip-rules", {"items": [], "mode": "strict"}, "mode"),
    ("post", "/auth/change-password", {**CHANGE, "end_sessions": False}, "end_sessions"),
    ("post", "/auth/step-up", {"code": "000000", "remember": True}, "remember"),
]


@pytest.mark.parametrize("case", CASES)
def test_an_unknown_field_is_named_and_nothing_is_done(
    api: Api, admin: User, viewer: User, case: tuple[str, str, dict[str, Any], str]
) -> None:
    method, path, body, field = case
    role = Role.objects.create(organization=admin.organization, name="some")
    if path == "/user-roles":
        body = {"user_id": str(viewer.pk), "role_id": str(role.pk), **body}
    client = api(admin)
    before = footprint()

    answer = getattr(client, method)(f"/api/v1{path.format(viewer=viewer.pk, role=role.pk)}", body)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation.invalid")
    assert answer.json()["errors"] == [
        {"field": field, "message": "There is no such field.", "type": "unknown"}
    ]
    assert footprint() == before


def test_what_programs_send_along_with_a_login_is_left_alone(viewer: User) -> None:
    body = {"email": viewer.email, "password": PASSWORD, "remember_me": True}

    assert ApiClient().post("/api/v1/auth/login", body).status_code == 200
