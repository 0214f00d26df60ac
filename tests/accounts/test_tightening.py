"""A stricter policy counts for open sessions too."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.test import Client

from accounts.choices import Restriction
from accounts.models import Session, User
from accounts.operations import sessions
from kernel import clock
from preferences import operations as preferences
from tests.accounts.factories import (
    enter_console,
    log_in,
    make_actor,
    make_organization,
    make_token,
    make_user,
)
from tests.clients import ApiClient
from tests.threads import Gate, Waiters, race

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], ApiClient]
POLICY = "/api/v1/security"


def ask_for_factors(admin: User, *, grace: int = 0) -> None:
    preferences.change(
        organization_id=admin.organization_id,
        values={"security.mfa_required": True, "security.mfa_grace_period_hours": grace},
        actor=make_actor(admin),
        now=clock.now(),
    )


def test_open_sessions_without_a_factor_may_only_enrol(api: Api, admin: User, viewer: User) -> None:
    client = api(viewer).known()

    ask_for_factors(admin)
    refused = client.get("/api/v1/tasks")

    assert (refused.status_code, refused.json()["code"]) == (403, "auth.mfa_enrollment_required")
    assert client.post("/api/v1/auth/mfa/setup").status_code == 200


def test_who_showed_a_factor_goes_on(api: Api, admin: User, viewer: User) -> None:
    client = api(viewer)
    Session.objects.filter(user=viewer).update(mfa_at=clock.now())

    ask_for_factors(admin)

    assert client.get("/api/v1/tasks").status_code == 200


def test_the_time_of_grace_is_left_and_ends_with_a_refresh(
    api: Api, admin: User, viewer: User
) -> None:
    issued = sessions.issue_tokens(user=viewer, actor=make_actor(viewer), now=clock.now())
    ask_for_factors(admin, grace=1)
    before = Session.objects.get(user=viewer).restriction

    sessions.refresh(token=issued.refresh, now=clock.now() + timedelta(hours=2))

    assert (before, Session.objects.get(user=viewer).restriction) == ("", Restriction.MFA)


def test_a_shorter_life_shortens_open_sessions(api: Api, admin: User, viewer: User) -> None:
    make_token(viewer)

    answer = api(admin).put(POLICY, {"session": {"max_duration_hours": 1}})

    assert answer.status_code == 200
    lives = {s.expires_at - s.created_at for s in Session.objects.all()}
    assert lives == {timedelta(hours=1)}


def test_a_login_meanwhile_is_met_too(monkeypatch: pytest.MonkeyPatch) -> None:
    organization = make_organization()
    admin, viewer = make_user(organization), make_user(organization)
    gate, open_session = Gate(), sessions.open_session

    def held(**asked: Any) -> Session:
        gate()  # the policy was read, the session is not there yet
        return open_session(**asked)

    def change() -> None:
        gate.wait()
        ask_for_factors(admin)

    def let_go() -> None:
        gate.wait()
        with suppress(AssertionError):  # then nothing held the change: its outcome tells
            Waiters().wait_for(1)
        gate.open()

    monkeypatch.setattr(sessions, "open_session", held)
    race(partial(log_in, viewer), change, let_go)

    assert Session.objects.get(user=viewer).restriction == Restriction.MFA


def test_other_organizations_keep_theirs(api: Api, admin: User, stranger: User) -> None:
    client = api(stranger).known()

    ask_for_factors(admin)

    assert client.get("/api/v1/tasks").status_code == 200


def test_a_browser_is_led_to_the_enrolment(admin: User, viewer: User) -> None:
    browser = Client()
    enter_console(browser, viewer)

    ask_for_factors(admin)
    answer: Any = browser.get("/admin/tasks/task/")

    assert answer.status_code == 302
    assert "account" in answer["Location"]
