"""The buttons with which an administrator helps somebody in again."""

import re
from datetime import timedelta
from typing import Any, Final

import pytest
from django.test import Client

from accounts.models import AgentKey, RoleAssignment, Session, User
from audit.models import AuditEvent
from kernel import clock
from tests.accounts.factories import PASSWORD, enrol, log_in, make_token, make_user
from tests.hub.console_rows import address, list_address
from tests.projects.factories import make_project

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


def test_one_is_not_offered_what_is_for_others(console: Client, admin: User) -> None:
    enrol(admin)
    User.objects.update(locked_until=clock.now() + timedelta(minutes=30))

    assert offered(console, admin) == {"edit_user"}


def test_the_second_factor_is_called_so(console: Client, viewer: User) -> None:
    enrol(viewer)

    page = console.get(address(User, viewer.pk)).content.decode()

    assert "Reset second factor" in page
    assert "Locked for logins until (UTC)" in page
    assert "Locked for confirming (password, codes) until (UTC)" in page


def test_people_are_narrowed_by_lock_and_factor(
    console: Client, admin: User, operator: User, viewer: User
) -> None:
    now = clock.now()
    enrol(operator)
    User.objects.filter(pk=operator.pk).update(locked_until=now + timedelta(minutes=9))
    User.objects.filter(pk=viewer.pk).update(confirm_locked_until=now + timedelta(minutes=9))
    User.objects.filter(pk=admin.pk).update(locked_until=now - timedelta(minutes=9))

    def shown(**query: str) -> set[User]:
        return {*console.get(list_address(User), query).context["cl"].result_list}

    assert shown(locked="yes") == {operator, viewer}
    assert shown(locked="no") == {admin}
    assert shown(factor="on") == {operator}
    assert shown(factor="off") == {admin, viewer}
    assert shown() == {admin, operator, viewer}
    page = console.get(list_address(User)).content.decode()
    assert page.count('data-status="locked"') == 2


class TestGranting:
    """The dialog *Grant role*."""

    PATH: Final = "/admin/accounts/roleassignment/grant_role/"

    def grant(self, console: Client, **typed: str) -> Any:
        sent = {**SUBMITTED, **typed}
        return console.post(self.PATH, sent, headers={"HX-Request": "true"})

    def test_no_role_is_chosen_beforehand(self, console: Client, viewer: User) -> None:
        answer = self.grant(console, email=viewer.email, role="")

        assert answer.context["form"].errors == {"role": ["This field is required."]}
        assert console.get(self.PATH).context["form"]["role"].field.choices[0][0] == ""
        assert viewer.assignments.count() == 1

    def test_projects_are_chosen_and_shown_by_name(
        self, console: Client, viewer: User, stranger: User
    ) -> None:
        project = make_project(viewer.organization, name="Harbour")
        make_project(stranger.organization, name="Theirs")
        role = viewer.assignments.get().role

        form = console.get(self.PATH).context["form"]
        answer = self.grant(console, email=viewer.email, role=str(role.pk), project=str(project.pk))

        held = viewer.assignments.exclude(scope={}).get()
        assert form["project"].field.choices == [
            ("", "Every project"),
            (str(project.pk), "Harbour"),
        ]
        assert answer["HX-Redirect"] == list_address(RoleAssignment)
        assert held.scope == {"project_id": str(project.pk)}
        for path in (list_address(RoleAssignment), address(RoleAssignment, held.pk)):
            assert "project Harbour" in console.get(path).content.decode()

    def test_a_project_is_said_once(self, console: Client, viewer: User) -> None:
        project = make_project(viewer.organization)
        typed = {"project": str(project.pk), "scope": f"project_id = {project.pk}"}

        answer = self.grant(
            console, email=viewer.email, role=str(viewer.assignments.get().role_id), **typed
        )

        assert "scope" in answer.context["form"].errors
        assert viewer.assignments.count() == 1


def test_the_page_of_agent_keys_says_where_they_come_from(console: Client) -> None:
    assert "HUB_AGENT_KEY" in console.get(list_address(AgentKey)).content.decode()


@pytest.mark.parametrize("button", ["reset_password", "unlock_user", "reset_mfa"])
def test_it_is_for_who_edits_people(client: Client, operator: User, button: str) -> None:
    other = make_user(operator.organization)
    client.force_login(operator)

    assert press(client, other, button).status_code == 403
