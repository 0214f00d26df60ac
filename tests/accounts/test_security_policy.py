"""`/api/v1/security`: the same settings in the shape of contract 003 B17."""

from collections.abc import Callable
from typing import Any

import pytest

from accounts.models import User
from preferences.models import StoredSetting
from tests.clients import ApiClient

Api = Callable[[User | None], ApiClient]
POLICY = "/api/v1/security"
PASSWORDS = "/api/v1/security/password-policy"


def test_the_defaults_are_those_of_the_contract(api: Api, admin: User) -> None:
    found = api(admin).get(POLICY).json()

    assert found["password_policy"] == {
        "min_length": 12,
        "require_uppercase": True,
        "require_lowercase": True,
        "require_digit": True,
        "require_special": True,
        "max_age_days": 90,
        "history_count": 5,
    }
    assert found["mfa"] == {"enabled": False, "methods": ["totp"], "grace_period_hours": 72}
    assert found["session"] == {
        "max_duration_hours": 24,
        "idle_timeout_minutes": 30,
        "max_concurrent_sessions": 5,
    }


def test_what_is_read_can_be_sent_back(api: Api, admin: User) -> None:
    client = api(admin)
    found = client.get(POLICY).json()

    answer = client.put(POLICY, found)

    assert (answer.status_code, answer.json()) == (200, found)
    # Said out loud, they stay what they are should a default change.
    assert StoredSetting.objects.count() == 18


def test_fields_change_and_the_others_stay(api: Api, admin: User) -> None:
    client = api(admin)

    changed = client.put(POLICY, {"mfa": {"enabled": True}, "session": {"max_duration_hours": 8}})
    passwords = client.put(PASSWORDS, {"min_length": 16})

    assert changed.json()["mfa"]["enabled"] is True
    assert passwords.json()["status"] == "updated"
    assert passwords.json()["policy"]["min_length"] == 16
    settings = client.get("/api/v1/settings/").json()["security"]
    assert settings["mfa_required"]["value"] is True
    assert settings["session_max_duration_hours"]["value"] == 8
    assert settings["session_idle_timeout_minutes"]["is_default"] is True
    assert client.get(PASSWORDS).json()["min_length"] == 16


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"password_policy": {"min_length": 7}}, "password_policy.min_length"),
        ({"password_policy": {"min_lenght": 14}}, "password_policy.min_lenght"),
        ({"passwords": {"min_length": 14}}, "passwords"),
        ({"lockout": {"threshold": 1}}, "lockout.threshold"),
        ({"session": {"max_duration_hours": 0}}, "session.max_duration_hours"),
        ({"session": {"max_concurrent_sessions": 0}}, "session.max_concurrent_sessions"),
        ({"rate_limits": {"per_user_per_minute": 1}}, "rate_limits.per_user_per_minute"),
        ({"mfa": {"enabled": "perhaps"}}, "mfa.enabled"),
        ({"mfa": {"methods": ["sms"]}}, "mfa.methods"),
        ({"mfa": []}, "mfa"),
        ([], "body"),
    ],
)
def test_a_bad_policy_changes_nothing(api: Api, admin: User, body: Any, field: str) -> None:
    if isinstance(body, dict):
        body = {"step_up": {"enabled": True}, **body}

    answer = api(admin).put(POLICY, body)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not StoredSetting.objects.exists()


def test_a_bad_password_policy_is_named_as_it_was_sent(api: Api, admin: User) -> None:
    answer = api(admin).put(PASSWORDS, {"min_length": 3, "history_count": -1})

    assert answer.status_code == 422
    fields = {error["field"] for error in answer.json()["errors"]}
    assert fields == {"min_length", "history_count"}


def test_only_those_who_may(api: Api, operator: User) -> None:
    client = api(operator)

    for path in (POLICY, PASSWORDS):
        assert client.get(path).status_code == 403
        assert client.put(path, {}).status_code == 403
        assert api(None).get(path).status_code == 401
