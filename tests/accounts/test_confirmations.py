"""Passwords and codes of people who are logged in: counted apart from those at the login."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest

from accounts.errors import AccountLocked
from accounts.models import Session, User
from accounts.operations import lockout, login, mfa, vouched
from accounts.operations.lockout import Attempt
from accounts.operations.login import Origin
from audit.models import AuditEvent
from kernel import clock
from tests.accounts.factories import (
    PASSWORD,
    enrol,
    make_actor,
    make_organization,
    make_user,
    set_policy,
    totp,
)
from tests.clients import ApiClient
from tests.threads import race

pytestmark = pytest.mark.django_db(transaction=True)
LOGIN: Final = "/api/v1/auth/login"
VERIFY: Final = "/api/v1/auth/verify-mfa"
STEP_UP: Final = "/api/v1/auth/step-up"
CHANGE: Final = "/api/v1/auth/change-password"
ME: Final = "/api/v1/auth/me"
NEW: Final = "Another-Horse-7-Battery"
Api = Callable[[User | None], ApiClient]


def change(client: ApiClient, current: str = PASSWORD) -> Any:
    return client.post(CHANGE, {"current_password": current, "new_password": NEW})


def log_in(user: User, password: str = PASSWORD) -> Any:
    return ApiClient().post(LOGIN, {"email": user.email, "password": password})


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_stranger_who_guesses_locks_nothing_of_who_is_logged_in(api: Api, viewer: User) -> None:
    enrolled = enrol(viewer, now=clock.now() - timedelta(minutes=5))
    client = api(viewer)

    for _ in range(5):
        log_in(viewer, "wrong")
    stepped = client.post(STEP_UP, {"code": totp(enrolled.secret)})
    changed = change(client)

    assert (stepped.status_code, changed.status_code) == (200, 200)
    viewer.refresh_from_db()
    assert (viewer.failed_logins, viewer.failed_confirmations) == (5, 0)  # until a whole login


def test_five_wrong_passwords_of_a_stolen_token_end_its_session(api: Api, viewer: User) -> None:
    client, other = api(viewer).known(), api(viewer).known()

    for _ in range(5):
        answer = change(client, "wrong")
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "current_password"

    assert refused(client.get(ME)) == (401, "auth.token_refused")
    assert other.get(ME).status_code == 200
    locked = change(other)
    assert refused(locked) == (423, "auth.account_locked")
    assert 0 < int(locked.headers["Retry-After"]) <= 1800
    assert log_in(viewer).status_code == 200
    details = [e.details for e in AuditEvent.objects.filter(action="auth.confirm").order_by("pk")]
    assert details == [
        *[{"error_kind": "wrong_password"}] * 4,
        {"error_kind": "wrong_password", "session_ended": True},
    ]


def test_five_wrong_codes_end_the_session_too(api: Api, viewer: User) -> None:
    enrolled = enrol(viewer)
    client, other = api(viewer), api(viewer)

    for _ in range(5):
        assert client.post(STEP_UP, {"code": "000000"}).status_code == 400

    right = {"code": totp(enrolled.secret, ahead=1)}
    assert refused(client.post(STEP_UP, right)) == (401, "auth.token_refused")
    assert refused(other.post(STEP_UP, right)) == (423, "auth.account_locked")


@pytest.mark.parametrize("route", ["disable", "backup-codes"])
def test_so_do_those_that_would_weaken_the_account(api: Api, viewer: User, route: str) -> None:
    enrol(viewer)
    client = api(viewer)

    for _ in range(5):
        client.post(f"/api/v1/auth/mfa/{route}", {"password": "wrong", "code": "000000"})

    assert client.get(ME).status_code == 401


def test_a_login_with_all_factors_opens_confirmations_again(viewer: User) -> None:
    User.objects.update(
        failed_confirmations=5, confirm_locked_until=clock.now() + timedelta(minutes=30)
    )

    assert log_in(viewer).status_code == 200

    viewer.refresh_from_db()
    assert (viewer.failed_confirmations, viewer.confirm_locked_until) == (0, None)


def test_a_providers_word_does_not(viewer: User) -> None:
    until = clock.now() + timedelta(minutes=30)
    User.objects.update(failed_confirmations=5, confirm_locked_until=until)

    vouched.enter(
        user_id=viewer.pk, mfa_at=None, action="sso.login", now=clock.now(), origin=Origin()
    )

    viewer.refresh_from_db()
    assert (viewer.failed_confirmations, viewer.confirm_locked_until) == (5, until)


def test_who_knows_the_password_alone_does_not_guess_at_codes_for_ever(
    api: Api, viewer: User
) -> None:
    enrol(viewer)
    client = api(viewer)

    for _ in range(4):
        client.post(STEP_UP, {"code": "000000"})
    assert change(client).status_code == 200
    client.post(STEP_UP, {"code": "000000"})

    assert client.get(ME).status_code == 401


def test_nor_at_those_of_the_login(api: Api, viewer: User) -> None:
    enrol(viewer)
    client = api(viewer)

    guess(viewer, PASSWORD, times=4)
    assert change(client).status_code == 200
    guess(viewer, NEW, times=1)

    assert refused(log_in(viewer, NEW)) == (423, "auth.account_locked")


def guess(user: User, password: str, *, times: int) -> None:
    """Wrong codes at the second step of a login."""
    token = log_in(user, password).json()["temp_token"]
    for _ in range(times):
        answer = ApiClient().post(VERIFY, {"temp_token": token, "totp_code": "000000"})
        assert refused(answer) == (401, "auth.mfa_code_refused")


def test_without_a_second_factor_a_new_password_opens_the_login(api: Api, viewer: User) -> None:
    client = api(viewer)
    for _ in range(5):
        log_in(viewer, "wrong")

    assert change(client).status_code == 200

    assert log_in(viewer, NEW).status_code == 200


def test_of_failures_at_once_each_counts_and_no_more_than_the_policy_allows_are_looked_at() -> None:
    user = make_user(make_organization())
    now = clock.now()
    attempt = Attempt(user=user, session_id=None, actor=make_actor(user), now=now)

    outcomes = race(
        *[lambda: lockout.confirm_password(attempt=attempt, password="wrong") for _ in range(8)]
    )

    user.refresh_from_db()
    assert outcomes.count(False) == 5
    assert sum(isinstance(outcome, AccountLocked) for outcome in outcomes) == 3
    assert user.confirm_locked_until == now + timedelta(minutes=30)
    assert (user.failed_confirmations, user.failed_logins, user.locked_until) == (5, 0, None)


def test_a_lock_passes_and_the_count_begins_anew(viewer: User) -> None:
    set_policy(viewer.organization, lockout_threshold=3, lockout_minutes=2)
    User.objects.update(failed_confirmations=3, confirm_locked_until=clock.now())
    attempt = Attempt(user=viewer, session_id=None, actor=make_actor(viewer), now=clock.now())

    assert not lockout.confirm_password(attempt=attempt, password="wrong")

    viewer.refresh_from_db()
    assert (viewer.failed_confirmations, viewer.confirm_locked_until) == (1, None)


def test_the_session_of_somebody_else_is_left_alone(admin: User, viewer: User) -> None:
    enrol(viewer)
    session = login.enter(email=admin.email, password=PASSWORD, now=clock.now(), origin=Origin())
    assert isinstance(session, Session)

    for _ in range(5):
        with pytest.raises(Exception, match="wrong"):
            mfa.disable(
                user=viewer,
                session_id=session.pk,
                password="wrong",
                code="000000",
                actor=make_actor(viewer),
                now=clock.now(),
            )

    session.refresh_from_db()
    assert session.revoked_at is None
