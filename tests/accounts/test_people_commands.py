"""Commands about people, and Django's own, which would go round the audit."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand

from accounts.management.commands import changepassword, createsuperuser
from accounts.models import Organization, Role, User
from accounts.operations import bootstrap
from audit.models import AuditEvent
from kernel import clock
from tests.accounts.factories import PASSWORD
from tests.clients import ApiClient
from tests.footprint import footprint

pytestmark = pytest.mark.django_db


def say(*words: str) -> str:
    """What a command printed, its last line."""
    output = StringIO()
    call_command(*words, stdout=output)
    return output.getvalue().splitlines()[-1]


def test_a_person_is_added_with_a_password_that_is_shown_once(organization: Organization) -> None:
    password = say("create_user", "new@example.com", "--role=operator")

    user = User.objects.get(email="new@example.com")
    assert (user.role, user.organization, user.check_password(password)) == (
        "operator",
        organization,
        True,
    )
    actions = AuditEvent.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["platform.enter", "user.create"]
    assert password not in json.dumps(footprint(), default=str)


def test_every_role_of_the_organization_can_be_given(organization: Organization) -> None:
    Role.objects.create(organization=organization, name="Support")

    say("create_user", "new@example.com", "--role=support")

    assert User.objects.get(email="new@example.com").role == "Support"
    with pytest.raises(CommandError) as refusal:
        say("create_user", "other@example.com", "--role=nothing")
    assert str(refusal.value) == (
        "There is no role of this name."
        " Roles: admin, approver, developer, operator, viewer, Support."
    )


@pytest.mark.parametrize("email", ["taken@example.com", "Taken@Example.com"])
def test_an_address_is_taken_in_any_case_of_letters(organization: Organization, email: str) -> None:
    say("create_user", "taken@example.com")

    with pytest.raises(CommandError, match="Somebody has this e-mail address"):
        say("create_user", email)


def test_several_organizations_need_a_name(
    organization: Organization, other_organization: Organization
) -> None:
    with pytest.raises(CommandError, match="--organization"):
        say("create_user", "new@example.com")

    say("create_user", "new@example.com", f"--organization={other_organization.slug}")
    assert User.objects.get(email="new@example.com").organization == other_organization


def test_a_new_password_ends_every_session(admin: User) -> None:
    client = ApiClient(admin)

    password = say("set_password", admin.email.upper())

    admin.refresh_from_db()
    assert admin.check_password(password)
    assert client.get("/api/v1/auth/me").status_code == 401
    assert AuditEvent.objects.order_by("pk").last().action == "user.set_password"  # type: ignore[union-attr]


def test_a_disabled_person_is_enabled(admin: User) -> None:
    User.objects.filter(pk=admin.pk).update(is_active=False)

    said = say("enable_user", admin.email.upper())

    assert said == f"{admin.email} may log in again."
    assert ApiClient(admin).get("/api/v1/auth/me").status_code == 200
    event = AuditEvent.objects.get(action="user.update")
    assert (event.actor_type, event.details["after"]) == ("system", {"is_active": True})


@pytest.mark.parametrize("command", ["set_password", "enable_user"])
def test_nobody_of_that_name_is_told(db: None, command: str) -> None:
    with pytest.raises(CommandError, match=r"Nobody has the e-mail nobody@example\.com"):
        say(command, "nobody@example.com")


@pytest.mark.parametrize("module", [changepassword, createsuperuser])
def test_djangos_commands_name_ours(module: object, capsys: pytest.CaptureFixture[str]) -> None:
    command: BaseCommand = module.Command()  # type: ignore[attr-defined]

    with pytest.raises(SystemExit) as ended:
        command.run_from_argv(["manage.py", "command", "--any", "thing"])

    assert ended.value.code == 1
    assert "it writes an audit row" in capsys.readouterr().err


def test_without_an_address_any_administrator_will_do(admin: User) -> None:
    Organization.objects.filter(pk=admin.organization_id).update(slug="acme")

    found = bootstrap.bootstrap(
        organization="Acme", email="", password=PASSWORD, agent_key="", now=clock.now()
    )

    assert (found.user, found.created) == (admin, False)
