"""A fresh second factor at the console: asked for in the form that needs it, and gone on with."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import ApiKey, IpRule, Role, Session, User
from kernel import clock
from preferences.models import StoredSetting
from tests.accounts.factories import Enrolled, enrol, make_user, set_policy, totp
from tests.hub.console_rows import address, list_address

pytestmark = pytest.mark.django_db(transaction=True)
NEW_ROLE: Final = "/admin/accounts/role/create_role/"
SECURITY: Final = "/admin/settings/security/"
RULES: Final = "/admin/ip-rules/"
ACCOUNT: Final = "/admin/account/"
KEY: Final = {"name": "CI", "scopes": "read", "days": "7"}
Send = Callable[..., Any]


@pytest.fixture
def factor(admin: User) -> Enrolled:
    """The administrator's, from before the login; the organization asks for fresh ones."""
    set_policy(admin.organization, step_up_required=True)
    return enrol(admin, now=clock.now() - timedelta(hours=1))


@pytest.fixture
def console(client: Client, admin: User) -> Client:
    """The administrator's browser."""
    client.force_login(admin)
    return client


def submit(client: Client, path: str, **values: str) -> Any:
    """A dialog, as the page sends it."""
    sent = {"_form_submitted": "on", **values}
    return client.post(path, sent, headers={"HX-Request": "true"})


def test_a_dialog_asks_for_the_code_and_goes_on(factor: Enrolled, console: Client) -> None:
    opened = console.get(NEW_ROLE)
    missing = submit(console, NEW_ROLE, name="desk")
    wrong = submit(console, NEW_ROLE, name="desk", fresh_code="000000")
    assert not Role.objects.filter(name="desk").exists()
    done = submit(console, NEW_ROLE, name="desk", fresh_code=totp(factor.secret))

    assert b"asks for a fresh code here" in opened.content
    assert missing.context["form"].errors == {"fresh_code": ["This field is required."]}
    assert "The code is wrong" in wrong.context["form"].errors["fresh_code"][0]
    assert b'value="desk"' in wrong.content
    assert done["HX-Redirect"] == list_address(Role)
    assert Role.objects.filter(name="desk").exists()
    assert "fresh_code" not in console.get(NEW_ROLE).context["form"].fields


def test_a_code_that_was_taken_is_not_asked_for_again(factor: Enrolled, console: Client) -> None:
    answer = submit(console, NEW_ROLE, name="viewer", fresh_code=totp(factor.secret))

    form = answer.context["form"]
    assert form.errors == {"name": ["There is a role of this name. Choose another."]}
    assert "fresh_code" not in form.fields


@pytest.mark.parametrize("action", ["disable_user", "reset_mfa"])
def test_a_button_asks_too(factor: Enrolled, console: Client, admin: User, action: str) -> None:
    other = make_user(admin.organization)
    enrol(other)
    path = address(User, other.pk, action)

    assert submit(console, path).status_code == 200
    done = submit(console, path, fresh_code=totp(factor.secret))

    other.refresh_from_db()
    assert done["HX-Redirect"] == address(User, other.pk)
    assert (other.is_active, other.has_mfa) == (
        (False, True) if action == "disable_user" else (True, False)
    )


def test_settings_and_rules_ask_and_keep_what_was_typed(factor: Enrolled, console: Client) -> None:
    sent = {"password_min_length": "16", "initial-password_min_length": "12"}
    rules = {"rules": "deny 10.0.0.0/8"}

    missing = console.post(SECURITY, sent)
    refused = console.post(RULES, {**rules, "fresh_code": "000000"})
    assert StoredSetting.objects.filter(key="security.password_min_length").count() == 0
    saved = console.post(SECURITY, {**sent, "fresh_code": totp(factor.secret)})
    replaced = console.post(RULES, rules)

    assert b'value="16"' in missing.content
    assert b'name="fresh_code"' in missing.content
    assert b"deny 10.0.0.0/8" in refused.content
    assert (saved.status_code, replaced.status_code) == (302, 302)
    assert StoredSetting.objects.get(key="security.password_min_length").value == 16
    assert IpRule.objects.count() == 1


def test_a_key_is_made_with_the_code_in_its_form(factor: Enrolled, console: Client) -> None:
    refused = console.post(f"{ACCOUNT}key-make/", KEY)
    assert not ApiKey.objects.exists()

    made = console.post(f"{ACCOUNT}key-make/", {**KEY, "fresh_code": totp(factor.secret)})

    assert b'value="CI"' in refused.content
    assert b'name="fresh_code"' in refused.content
    assert b"ahk_" in made.content
    assert ApiKey.objects.count() == 1


@pytest.fixture(params=[NEW_ROLE, SECURITY, RULES, ACCOUNT])
def look(console: Client, request: pytest.FixtureRequest) -> Callable[[], str]:
    """A page with a form that needs a fresh code."""

    def page() -> str:
        return console.get(str(request.param)).content.decode()

    return page


def test_who_has_no_factor_is_led_to_setting_one_up(admin: User, look: Callable[[], str]) -> None:
    set_policy(admin.organization, step_up_required=True)

    page = look()

    assert "This needs a second factor, and you have none." in page
    assert f'href="{reverse("admin:account")}#mfa"' in page
    assert 'name="fresh_code"' not in page


def test_whose_factor_is_younger_than_the_login_is_told_to_log_in_again(
    admin: User, look: Callable[[], str]
) -> None:
    set_policy(admin.organization, step_up_required=True)
    enrol(admin)

    page = look()

    assert "Your second factor is younger than this login." in page
    assert 'type="submit" form="logout-form"' in page
    assert 'name="fresh_code"' not in page


@pytest.mark.parametrize("path", [NEW_ROLE, SECURITY, RULES, f"{ACCOUNT}key-make/"])
def test_nothing_is_done_without_a_factor(admin: User, console: Client, path: str) -> None:
    set_policy(admin.organization, step_up_required=True)

    answer = submit(console, path, name="desk", rules="deny 10.0.0.0/8", mfa_required="on")

    assert answer.status_code == 200
    assert not Role.objects.filter(name="desk").exists()
    assert not IpRule.objects.exists()
    assert StoredSetting.objects.count() == 1


def test_a_code_that_went_stale_is_asked_for_again(
    factor: Enrolled, console: Client, admin: User
) -> None:
    Session.objects.filter(user=admin).update(mfa_at=clock.now())
    assert b"fresh_code" not in console.get(NEW_ROLE).content
    Session.objects.filter(user=admin).update(mfa_at=clock.now() - timedelta(hours=1))

    answer = submit(console, NEW_ROLE, name="desk")

    assert b'name="fresh_code"' in answer.content
    assert b'value="desk"' in answer.content
