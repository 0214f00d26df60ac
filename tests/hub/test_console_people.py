"""The buttons with which an administrator helps somebody in again."""

import re
from datetime import timedelta
from typing import Any, Final

import pytest
from django.test import Client

from accounts.models import Session, User
from audit.models import AuditEvent
from kernel import clock
from tests.accounts.factories import PASSWORD, log_in, make_token, make_user
from tests.hub.console_rows import address

pytestmark = pytest.mark.django_db(transaction=True)
SUBMITTED: Final = {"_form_submitted": "on"}


@pytest.fixture
def console(client: Client, admin: User) -> Client:
    """An administrator's browser."""
    client.force_login(admin)
    return client


def press(client: Client, user: User, button: str) -> Any:
    path = address(User, user.pk, button)
    return client.post(path, SUBMITTED, headers={"HX-Request": "true"})


def offered(client: Client, user: User) -> set[str]:
    page = client.get(address(User, user.pk))
    return {b["path"].rstrip("/").rpartition("/")[2] for b in page.context["actions_detail"]}


def test_a_generated_password_is_shown_once_and_must_be_changed(
    console: Client, viewer: User
) -> None:
    make_token(viewer)

    answer = press(console, viewer, "reset_password")

    found = re.search(r'id="shown-once">([^<]+)<', answer.content.decode())
    viewer.refresh_from_db()
    assert found
    assert viewer.check_password(found[1])
    assert not viewer.check_password(PASSWORD)
    assert "no-store" in answer["Cache-Control"]
    assert not Session.objects.filter(user=viewer, revoked_at=None).exists()
    assert found[1] not in console.get(address(User, viewer.pk)).content.decode()
    assert AuditEvent.objects.filter(action="user.reset_password").count() == 1


def test_a_locked_person_is_let_in_again(console: Client, viewer: User) -> None:
    assert "unlock_user" not in offered(console, viewer)
    User.objects.filter(pk=viewer.pk).update(
        failed_logins=5, locked_until=clock.now() + timedelta(minutes=30)
    )
    assert "unlock_user" in offered(console, viewer)

    answer = press(console, viewer, "unlock_user")

    assert answer["HX-Redirect"] == address(User, viewer.pk)
    assert log_in(viewer).access


@pytest.mark.parametrize("button", ["reset_password", "reset_mfa"])
def test_nobody_helps_themselves_round_their_own_factors(
    console: Client, admin: User, button: str
) -> None:
    answer = press(console, admin, button)

    assert answer.status_code == 200
    assert answer.context["form"].errors["__all__"]
    admin.refresh_from_db()
    assert admin.check_password(PASSWORD)


@pytest.mark.parametrize("button", ["reset_password", "unlock_user", "reset_mfa"])
def test_it_is_for_who_edits_people(client: Client, operator: User, button: str) -> None:
    other = make_user(operator.organization)
    client.force_login(operator)

    assert press(client, other, button).status_code == 403
