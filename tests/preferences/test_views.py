"""`/api/v1/settings` over HTTP (contract 003 B9)."""

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import User
from audit.models import AuditEvent
from preferences.models import StoredSetting
from tests.accounts.factories import set_policy
from tests.clients import ApiClient

Api = Callable[[User | None], ApiClient]
LENGTH = "/api/v1/settings/security/password_min_length"


def test_they_are_listed_by_category(api: Api, admin: User) -> None:
    found = api(admin).get("/api/v1/settings/").json()

    assert list(found) == ["general", "llm", "email", "security", "notifications", "storage"]
    assert found["security"]["password_min_length"] == {
        "value": 12,
        "description": "Characters that a password has at least.",
        "type": "integer",
        "choices": [],
        "minimum": 8,
        "maximum": 64,
        "is_secret": False,
        "is_default": True,
    }


def test_one_is_changed_and_counts_at_once(api: Api, admin: User) -> None:
    client = api(admin)

    answer = client.put(LENGTH, {"value": "16"})

    assert (answer.status_code, answer.json()) == (
        200,
        {"key": "security.password_min_length", "status": "updated"},
    )
    found = client.get("/api/v1/settings").json()["security"]["password_min_length"]
    assert (found["value"], found["is_default"]) == (16, False)


def test_null_resets(api: Api, admin: User) -> None:
    client = api(admin)
    client.put(LENGTH, {"value": 16})

    assert client.put(LENGTH, {"value": None}).status_code == 200

    found = client.get("/api/v1/settings").json()["security"]["password_min_length"]
    assert (found["value"], found["is_default"]) == (12, True)


def test_a_secret_is_never_shown(api: Api, admin: User) -> None:
    client = api(admin)
    assert client.get("/api/v1/settings/").json()["llm"]["openai_api_key"]["value"] is None

    client.put("/api/v1/settings/llm/openai_api_key", {"value": "sk-0123456789abcdef"})

    answer = client.get("/api/v1/settings/")
    assert answer.json()["llm"]["openai_api_key"]["value"] == "sk-0…cdef"
    assert b"0123456789" not in answer.content


def test_many_are_changed_together(api: Api, admin: User) -> None:
    asked = {"security.password_min_length": "16", "security.mfa_required": True}

    answer = api(admin).put("/api/v1/settings/bulk", {"settings": asked})

    assert (answer.status_code, answer.json()) == (200, {"updated": 2})
    assert StoredSetting.objects.count() == 2


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"security.password_min_length": 16, "security.nonsense": 1}, 404),
        ({"security.password_min_length": 16, "security": 1}, 404),
        ({"security.password_min_length": 16, "": 1}, 404),
        ({"security.password_min_length": 16, "security.mfa_required": "perhaps"}, 422),
        ({"security.password_min_length": 16, "llm.openai_api_key": "a\u0000b"}, 422),
        ({"security.password_min_length": 16, "llm.openai_api_key": ["a"]}, 422),
        ([], 422),
        ("all", 422),
        (None, 422),
    ],
)
def test_bulk_is_all_or_nothing(api: Api, admin: User, asked: Any, status: int) -> None:
    answer = api(admin).put("/api/v1/settings/bulk", {"settings": asked})

    assert answer.status_code == status
    assert not StoredSetting.objects.exists()
    assert not AuditEvent.objects.filter(action="settings.update").exists()


@pytest.mark.parametrize(
    "path", ["/api/v1/settings/security/nonsense", "/api/v1/settings/no/password_min_length"]
)
def test_an_unknown_one_is_not_found(api: Api, admin: User, path: str) -> None:
    assert api(admin).put(path, {"value": 1}).status_code == 404


@pytest.mark.parametrize("body", [{}, {"value": 7}, {"value": {"a": 1}}, [], "16"])
def test_a_bad_body_changes_nothing(api: Api, admin: User, body: Any) -> None:
    assert api(admin).put(LENGTH, body).status_code == 422
    assert not StoredSetting.objects.exists()


def test_only_those_who_may_see_and_change_them(
    api: Api, operator: User, viewer: User, admin: User
) -> None:
    for person, status in ((None, 401), (viewer, 403), (operator, 403)):
        client = api(person)
        assert client.get("/api/v1/settings/").status_code == status
        assert client.put(LENGTH, {"value": 16}).status_code == status
        assert client.put("/api/v1/settings/bulk", {"settings": {}}).status_code == status

    assert not StoredSetting.objects.exists()


def test_who_may_change_settings_may_not_yet_change_security(api: Api, operator: User) -> None:
    role = operator.assignments.get().role
    role.permissions = [*role.permissions, "settings.edit"]
    role.save(update_fields=["permissions"])
    client = api(operator)

    refused = client.put(LENGTH, {"value": 16})
    changed = client.put("/api/v1/settings/llm/default_model", {"value": "mine"})

    assert (refused.status_code, refused.json()["permission"]) == (403, "security.edit")
    assert changed.status_code == 200
    assert StoredSetting.objects.get().key == "llm.default_model"


def test_another_organization_sees_nothing_of_it(api: Api, admin: User, stranger: User) -> None:
    api(admin).put(LENGTH, {"value": 16})

    found = api(stranger).get("/api/v1/settings/").json()

    assert found["security"]["password_min_length"]["value"] == 12


def test_a_fresh_second_factor_is_asked_for_where_it_is_wanted(api: Api, admin: User) -> None:
    client = api(admin)
    set_policy(admin.organization, step_up_required=True)

    for path, body in (
        ("/api/v1/settings/security/step_up_required", {"value": False}),
        ("/api/v1/settings/bulk", {"settings": {"security.step_up_required": False}}),
        ("/api/v1/security", {"step_up": {"enabled": False}}),
        ("/api/v1/security/password-policy", {"min_length": 8}),
        ("/api/v1/security/ip-rules", []),
    ):
        answer = client.put(path, body)
        assert (answer.status_code, answer.json()["code"]) == (412, "auth.mfa_enrollment_required")

    assert StoredSetting.objects.count() == 1
