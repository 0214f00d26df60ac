"""Step-up is switched on by who could switch it off again, and by nobody else."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from django.test import Client

from accounts.models import Session, User
from audit.models import AuditEvent
from kernel import clock
from preferences.models import StoredSetting
from tests.accounts.factories import Enrolled, enrol, make_key, set_policy, totp
from tests.clients import ApiClient, HubClient

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], ApiClient]
SETTING: Final = "/api/v1/settings/security/step_up_required"
BULK: Final = "/api/v1/settings/bulk"
ON: Final[list[tuple[str, dict[str, Any]]]] = [
    (SETTING, {"value": True}),
    (BULK, {"settings": {"security.step_up_required": "true", "security.lockout_minutes": 60}}),
    ("/api/v1/security", {"step_up": {"enabled": True}, "lockout": {"minutes": 60}}),
]
CODE: Final = "security.step_up_lock_out"
SENTENCE: Final = (
    "Step-up would lock you out of these settings."
    " Set up a second factor and log in again with it, then switch step-up on."
)
CONSOLE: Final = "/admin/settings/security/"


@pytest.fixture
def factor(admin: User) -> Enrolled:
    """The administrator's, from before the login."""
    return enrol(admin, now=clock.now() - timedelta(hours=1))


def refused(answer: Any) -> bool:
    """With the code, and with nothing left behind."""
    assert not StoredSetting.objects.exists()
    assert not AuditEvent.objects.filter(action="settings.update").exists()
    return (answer.status_code, answer.json()["code"]) == (409, CODE)


@pytest.mark.parametrize(("path", "body"), ON)
def test_nobody_without_a_factor_switches_it_on(
    api: Api, admin: User, path: str, body: dict[str, Any]
) -> None:
    answer = api(admin).put(path, body)

    assert refused(answer)
    assert answer.json()["detail"] == SENTENCE


@pytest.mark.parametrize(("path", "body"), ON)
def test_nor_in_a_session_from_before_the_factor(
    api: Api, admin: User, path: str, body: dict[str, Any]
) -> None:
    client = api(admin)
    enrol(admin)

    assert refused(client.put(path, body))


@pytest.mark.parametrize(("path", "body"), ON)
def test_nor_with_an_api_key_which_shows_no_factor(
    admin: User, factor: Enrolled, path: str, body: dict[str, Any]
) -> None:
    key = make_key(admin, "settings.edit", "security.edit")
    client = HubClient(headers={"X-API-Key": key})

    assert refused(client.put(path, body, content_type="application/json"))


@pytest.mark.parametrize(("path", "body"), ON)
def test_who_switches_it_on_switches_it_off_with_a_code(
    api: Api, admin: User, factor: Enrolled, path: str, body: dict[str, Any]
) -> None:
    client = api(admin)

    assert client.put(path, body).status_code == 200
    assert client.put(SETTING, {"value": False}).json()["code"] == "auth.step_up_required"
    client.post("/api/v1/auth/step-up", {"code": totp(factor.secret)})
    assert client.put(SETTING, {"value": False}).status_code == 200


def test_a_factor_that_a_provider_showed_a_while_ago_counts_while_it_is_fresh(
    api: Api, admin: User
) -> None:
    client, now = api(admin), clock.now()

    Session.objects.update(mfa_at=now - timedelta(minutes=16))
    assert refused(client.put(*ON[0]))
    Session.objects.update(mfa_at=now - timedelta(minutes=1))
    assert client.put(*ON[0]).status_code == 200


def test_wrong_values_are_named_first(api: Api, admin: User) -> None:
    body = {"settings": {"security.step_up_required": True, "security.password_min_length": 3}}

    assert api(admin).put(BULK, body).status_code == 422


def test_what_does_not_switch_it_on_is_let_be(api: Api, admin: User) -> None:
    client = api(admin)

    assert client.put(SETTING, {"value": False}).status_code == 200
    assert client.put(SETTING, {"value": None}).status_code == 200
    assert client.put("/api/v1/security", client.get("/api/v1/security").json()).status_code == 200


def test_the_operator_of_the_machine_may(admin: User) -> None:
    set_policy(admin.organization, step_up_required=True)

    assert StoredSetting.objects.get().value is True


def test_the_console_says_so_beside_what_was_typed(client: Client, admin: User) -> None:
    client.force_login(admin)
    sent = {"step_up_required": "on", "initial-step_up_required": "False"}

    answer = client.post(CONSOLE, sent)

    assert answer.context["form"].non_field_errors() == [SENTENCE]
    assert SENTENCE in answer.content.decode()
    assert not StoredSetting.objects.exists()


def test_the_console_switches_it_on_for_who_has_a_factor(
    client: Client, admin: User, factor: Enrolled
) -> None:
    client.force_login(admin)
    sent = {"step_up_required": "on", "initial-step_up_required": "False"}

    assert client.post(CONSOLE, sent).status_code == 302
    assert StoredSetting.objects.get(key="security.step_up_required").value is True
