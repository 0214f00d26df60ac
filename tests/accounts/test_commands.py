"""`manage.py bootstrap` and `manage.py issue_token`."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from accounts.models import AgentKey, Organization, Session, User
from accounts.operations import bootstrap
from accounts.selectors import sessions
from audit.models import AuditEvent
from kernel import clock
from tests.accounts.factories import PASSWORD
from tests.footprint import footprint

KEY = "an agent key of some length"


@pytest.fixture
def asked(settings: Settings, db: None) -> dict[str, str]:
    """What the environment asks bootstrap for; change it at will."""
    settings.HUB_BOOTSTRAP = {
        "organization": "Acme",
        "email": "root@example.com",
        "password": PASSWORD,
        "agent_key": KEY,
    }
    found: dict[str, str] = settings.HUB_BOOTSTRAP
    return found


def left() -> dict[str, list[Any]]:
    """What is in the database, but that a command was run."""
    found = footprint()
    events = found["audit.AuditEvent"]
    found["audit.AuditEvent"] = [e for e in events if e["action"] != "platform.enter"]
    return found


def run(*options: str) -> str:
    output = StringIO()
    call_command("bootstrap", *options, stdout=output)
    return output.getvalue()


def test_the_first_start_makes_organization_administrator_and_key(asked: dict[str, str]) -> None:
    said = run()

    user = User.objects.get()
    key = AgentKey.objects.get()
    assert said == "root@example.com administers Acme.\n"
    assert (user.role, user.organization, user.check_password(PASSWORD)) == (
        "admin",
        Organization.objects.get(slug="acme"),
        True,
    )
    assert (key.prefix, key.key_hash) == ("an a", bootstrap.hash_key(KEY))
    assert list(AuditEvent.objects.order_by("pk").values_list("action", "actor_type")) == [
        ("platform.enter", "system"),
        ("organization.create", "system"),
        ("agent_key.create", "system"),
        ("user.create", "system"),
    ]
    assert KEY not in (written := json.dumps(footprint(), default=str))
    assert PASSWORD not in written


def test_a_second_start_changes_nothing(asked: dict[str, str]) -> None:
    run()
    before = left()

    asked["password"] = "Another correct horse, 2"
    asked["email"] = "ROOT@example.com"
    said = json.loads(run("--json"))

    assert left() == before
    assert said == {
        "organization": "Acme",
        "email": "root@example.com",
        "password": None,
        "created": False,
    }


def test_a_password_is_made_up_and_shown_once(asked: dict[str, str]) -> None:
    asked["password"] = ""

    first, second = json.loads(run("--json")), json.loads(run("--json"))

    assert User.objects.get().check_password(first["password"])
    assert len(first["password"]) == 29
    assert (first["created"], second["created"], second["password"]) == (True, False, None)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password": "Sh0rt."}, "The password needs at least 12 characters"),
        ({"password": "qwerty123456"}, "This password is too common"),
        ({"password": "My name is root 0"}, "must not hold your name"),
        ({"agent_key": "short"}, "Use at least 16 random characters"),
    ],
)
def test_what_is_weak_is_refused_and_nothing_made(
    asked: dict[str, str], wrong: dict[str, str], said: str
) -> None:
    asked.update(wrong)
    before = left()

    with pytest.raises(CommandError, match=said):
        run()

    assert left() == before


def test_a_token_is_issued_for_a_person(admin: User) -> None:
    output = StringIO()

    call_command("issue_token", email=admin.email.upper(), stdout=output)

    session = sessions.get_session(token=output.getvalue().strip(), now=clock.now())
    event = AuditEvent.objects.exclude(action="platform.enter").get()
    assert (session, session.user) == (Session.objects.get(), admin)
    assert (event.action, event.actor_type) == ("auth.issue", "system")
    assert event.organization_id == admin.organization_id


@pytest.mark.parametrize("state", [{"is_active": False}, {"email": "other@example.com"}])
def test_no_token_for_who_is_not_there(admin: User, state: dict[str, Any]) -> None:
    User.objects.update(**state)

    with pytest.raises(CommandError, match="No active user"):
        call_command("issue_token", email=admin.email)

    assert not Session.objects.exists()
