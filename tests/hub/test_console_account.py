"""The page Account: what people do there about themselves, and what it never does."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import ApiKey, Session, User
from kernel import clock
from tests.accounts.factories import (
    PASSWORD,
    Enrolled,
    enrol,
    enter_console,
    make_key,
    make_token,
    totp,
)

pytestmark = pytest.mark.django_db(transaction=True)
ACCOUNT = "/admin/account/"
NEW = "Nine boats, 1 harbour"


@pytest.fixture
def console(client: Client, operator: User) -> Client:
    """A browser of an operator."""
    client.force_login(operator)
    return client


def act(client: Client, action: str, **values: Any) -> str:
    """The page after a form was sent."""
    return client.post(f"{ACCOUNT}{action}/", values, follow=True).content.decode()


def secret_on(page: str) -> str:
    found = re.search(r'id="mfa-secret">([A-Z2-7]{32})<', page)
    assert found
    return found[1]


@pytest.fixture
def enrolled(operator: User) -> Enrolled:
    """The operator's second factor."""
    return enrol(operator)


def test_everybody_has_the_page(client: Client, viewer: User) -> None:
    client.force_login(viewer)

    page = client.get(ACCOUNT)

    assert page.status_code == 200
    assert viewer.email in page.content.decode()
    assert "no-store" in page["Cache-Control"]


def test_strangers_are_sent_to_the_login(client: Client) -> None:
    assert client.get(ACCOUNT)["Location"].startswith("/admin/login/")
    assert client.post(f"{ACCOUNT}mfa-begin/")["Location"].startswith("/admin/login/")


def test_a_password_is_changed_and_the_browser_stays(console: Client, operator: User) -> None:
    make_token(operator)

    page = act(console, "password", current_password=PASSWORD, new_password=NEW, again=NEW)

    operator.refresh_from_db()
    assert "The password was changed" in page
    assert operator.check_password(NEW)
    assert Session.objects.get(revoked_at=None).kind == "console"


@pytest.mark.parametrize(
    ("is_temporary", "words"),
    [
        (True, "An administrator gave you this password; choose your own."),
        (False, "Your password has expired."),
    ],
)
def test_it_is_said_why_the_password_must_be_changed(
    client: Client, operator: User, *, is_temporary: bool, words: str
) -> None:
    session = enter_console(client, operator)
    Session.objects.filter(pk=session.pk).update(restriction="password")
    User.objects.filter(pk=operator.pk).update(password_is_temporary=is_temporary)

    page = client.get(ACCOUNT).content.decode()

    assert re.findall(r"<strong>([^<]+)</strong>", page) == [words]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"current_password": "wrong"}, "This is not your password."),
        ({"new_password": "weak", "again": "weak"}, "The password needs"),
        ({"again": "Something else, 1"}, "typed in two ways"),
        ({"new_password": ""}, "This field is required."),
    ],
)
def test_a_password_is_not_changed(
    console: Client, operator: User, values: dict[str, str], message: str
) -> None:
    sent = {"current_password": PASSWORD, "new_password": NEW, "again": NEW, **values}

    assert message in act(console, "password", **sent)

    operator.refresh_from_db()
    assert operator.check_password(PASSWORD)


def test_a_second_factor_is_enrolled(console: Client, operator: User) -> None:
    page = act(console, "mfa-begin")

    assert "data:image/svg+xml" in page
    assert "The code is wrong" in act(console, "mfa-confirm", code="000000")
    page = act(console, "mfa-confirm", code=totp(secret_on(console.get(ACCOUNT).content.decode())))

    operator.refresh_from_db()
    assert operator.has_mfa
    codes = page.partition('id="backup-codes"')[2].partition("</pre>")[0]
    assert len(set(re.findall(r"\b[A-Z2-9]{5}-[A-Z2-9]{5}\b", codes))) == 10
    assert f'data-copy="{codes.rpartition(">")[2]}"' in page
    assert "Backup codes" not in console.get(ACCOUNT).content.decode()


def test_it_is_turned_off_with_both_factors(
    console: Client, operator: User, enrolled: Enrolled
) -> None:
    code = totp(enrolled.secret, ahead=1)
    assert "not your password" in act(console, "mfa-disable", password="wrong", code=code)

    act(console, "mfa-disable", password=PASSWORD, code=code)

    operator.refresh_from_db()
    assert not operator.has_mfa


def test_backup_codes_are_renewed(console: Client, enrolled: Enrolled) -> None:
    page = act(console, "mfa-codes", password=PASSWORD, code=enrolled.backup_codes[0])

    assert "Backup codes" in page
    assert enrolled.backup_codes[1] not in page


def test_another_session_is_ended(console: Client, operator: User, admin: User) -> None:
    make_token(operator)
    other = Session.objects.get(kind="api")
    foreign = enter_console(Client(), admin)

    assert "The session has ended." in act(console, f"session-end/{other.pk}")
    assert "No such object" in act(console, f"session-end/{foreign.pk}")

    other.refresh_from_db()
    foreign.refresh_from_db()
    assert (other.revoked_at is None, foreign.revoked_at is None) == (False, True)


def test_a_key_is_made_and_shown_once_and_revoked(console: Client, operator: User) -> None:
    page = act(console, "key-make", name="CI", scopes="task.read, agent.read", days="7")

    key = ApiKey.objects.get()
    shown = re.search(r"ahk_[\w-]{43}", page)
    assert shown
    assert key.scopes == ["agent.read", "task.read"]
    assert key.expires_at is not None
    assert key.expires_at - clock.now() < timedelta(days=7)
    assert shown[0] not in console.get(ACCOUNT).content.decode()
    assert "The key was revoked." in act(console, f"key-revoke/{key.pk}")
    key.refresh_from_db()
    assert key.revoked_at is not None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scopes": "role.edit"}, "You do not hold `role.edit` yourself"),
        ({"scopes": "task.eat"}, "is no scope"),
        ({"days": "0"}, "greater than or equal to 1"),
        ({"name": ""}, "This field is required."),
    ],
)
def test_a_key_is_not_made(console: Client, values: dict[str, str], message: str) -> None:
    sent = {"name": "CI", "scopes": "read", "days": "7", **values}

    page = act(console, "key-make", **sent)

    assert message in page.replace("&#x27;", "'")
    assert not ApiKey.objects.exists()


def test_a_viewer_makes_no_keys(client: Client, viewer: User, admin: User) -> None:
    client.force_login(viewer)
    make_key(admin, "read")
    foreign = ApiKey.objects.get()

    answer = client.post(f"{ACCOUNT}key-make/", {"name": "CI", "scopes": "read", "days": "7"})
    act(client, f"key-revoke/{foreign.pk}")

    foreign.refresh_from_db()
    assert answer.status_code == 404
    assert foreign.revoked_at is None


@pytest.mark.parametrize("action", ["password", "mfa-begin", "key-make", "nothing"])
def test_a_link_does_nothing(console: Client, action: str) -> None:
    assert console.get(f"{ACCOUNT}{action}/").status_code == 404


def test_an_unknown_form_is_refused(console: Client) -> None:
    assert console.post(f"{ACCOUNT}nothing/").status_code == 404


def test_a_form_of_another_page_is_refused(operator: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator)

    assert strict.post(f"{ACCOUNT}mfa-begin/").status_code == 403
