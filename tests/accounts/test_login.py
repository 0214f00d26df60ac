"""Logging in over HTTP: what is told to whom, what is counted, what is written down."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from django.contrib.auth.hashers import (
    Argon2PasswordHasher,
    make_password,
    verify_password,
)
from django.core.management import CommandError, call_command
from django.test import Client

from accounts.models import Organization, Session, User
from accounts.operations import lockout, login
from accounts.operations.login import Awaited
from accounts.selectors.policy import get_policy
from audit.models import AuditEvent
from kernel import clock, tenancy
from tests.accounts.factories import (
    PASSWORD,
    enrol,
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
ME: Final = "/api/v1/auth/me"
TASKS: Final = "/api/v1/tasks"


def log_in(email: str, password: str = PASSWORD) -> Any:
    return ApiClient().post(LOGIN, {"email": email, "password": password})


def fail(user: User, times: int) -> None:
    for _ in range(times):
        assert log_in(user.email, "wrong").status_code == 401


def last_event() -> AuditEvent:
    return AuditEvent.objects.latest("pk")


def restrict(user: User) -> None:
    """A second factor is due for everybody since yesterday."""
    User.objects.update(created_at=clock.now() - timedelta(days=2))
    set_policy(
        user.organization,
        now=clock.now() - timedelta(days=1),
        mfa_required=True,
        mfa_grace_period_hours=1,
    )


def ask(path: str, token: str, method: str = "get", body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {token}"}
    if method == "get":
        return Client().get(path, headers=headers)
    return ApiClient().post(path, body, headers=headers)


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        ("wrong", "wrong_password"),
        ("unknown", "user_not_found"),
        ("disabled", "user_disabled"),
        ("locked", "locked"),
    ],
)
def test_every_refusal_looks_the_same_and_is_written_down(
    admin: User, case: str, kind: str
) -> None:
    if case == "disabled":
        User.objects.filter(pk=admin.pk).update(is_active=False)
    if case == "locked":
        fail(admin, 5)
    email = "nobody@example.com" if case == "unknown" else admin.email

    answer = log_in(email, "wrong")

    body, event = answer.json(), last_event()
    del body["request_id"]
    assert answer.status_code == 401
    assert body == {
        "type": "urn:agent-hub:problem:auth.credentials_refused",
        "title": "Not authenticated",
        "status": 401,
        "detail": "The e-mail or the password is wrong.",
        "code": "auth.credentials_refused",
        "errors": [],
    }
    assert (event.action, event.status, event.actor_type) == ("auth.login", "failure", "anonymous")
    assert event.details == {"error_kind": kind, "email_length": len(email)}
    assert (event.organization_id == admin.organization_id) is (case != "unknown")
    assert not Session.objects.exists()


def test_a_malformed_login_is_written_down_too(db: None) -> None:
    assert ApiClient().post(LOGIN, {"email": "a@example.com"}).status_code == 422

    assert last_event().details == {"error_kind": "missing_fields"}


def test_the_right_password_hears_that_the_account_is_locked(admin: User) -> None:
    fail(admin, 5)

    answer = log_in(admin.email)

    assert (answer.status_code, answer.json()["code"]) == (423, "auth.account_locked")
    assert 1790 <= int(answer["Retry-After"]) <= 1800
    assert not Session.objects.exists()


def test_who_goes_on_guessing_does_not_learn_which_password_was_right(admin: User) -> None:
    fail(admin, 10)

    assert log_in(admin.email).json()["code"] == "auth.credentials_refused"


def test_a_lock_passes_and_the_count_begins_anew(admin: User) -> None:
    fail(admin, 5)
    User.objects.update(locked_until=clock.now())

    fail(admin, 4)

    assert log_in(admin.email).status_code == 200
    admin.refresh_from_db()
    assert (admin.failed_logins, admin.locked_until) == (0, None)


def test_four_failures_lock_nothing(admin: User) -> None:
    fail(admin, 4)

    assert log_in(admin.email).status_code == 200


def test_the_organization_says_how_many_and_how_long(admin: User) -> None:
    set_policy(admin.organization, lockout_threshold=3, lockout_minutes=2)
    fail(admin, 3)

    answer = log_in(admin.email)

    assert answer.status_code == 423
    assert int(answer["Retry-After"]) <= 120


def test_no_failure_is_lost_when_many_come_at_once() -> None:
    user = make_user(make_organization())
    policy = get_policy(organization_id=user.organization_id)
    now = clock.now()

    race(
        *[lambda: lockout.count_failure(user_id=user.pk, policy=policy, now=now) for _ in range(8)]
    )

    user.refresh_from_db()
    assert user.failed_logins == 8
    assert user.locked_until == now + timedelta(minutes=30)


def test_a_right_guess_among_many_at_once_comes_too_late_behind_the_lock() -> None:
    user = make_user(make_organization())
    fail(user, 4)

    def guess(password: str) -> Callable[[], object]:
        return lambda: login.log_in(email=user.email, password=password, now=clock.now())

    race(guess("wrong"), guess("wrong"))

    assert log_in(user.email).status_code == 423
    user.refresh_from_db()
    assert user.failed_logins == 6


@pytest.mark.parametrize("whose", ["user", "organization"])
def test_only_the_right_password_hears_that_the_account_is_disabled(
    admin: User, whose: str
) -> None:
    row = admin if whose == "user" else admin.organization
    row.is_active = False
    row.save()

    answer = log_in(admin.email)

    assert (answer.status_code, answer.json()["code"]) == (403, "auth.account_disabled")
    assert last_event().details["error_kind"] == "user_disabled"


def test_a_login_remembers_when_and_from_where(admin: User) -> None:
    log_in(admin.email)

    admin.refresh_from_db()
    assert admin.last_login is not None
    assert admin.last_login_ip == "127.0.0.1"


def test_a_hash_of_old_parameters_is_renewed_at_the_login(
    admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = admin.password
    monkeypatch.setattr(Argon2PasswordHasher, "time_cost", 1)

    assert log_in(admin.email).status_code == 200

    admin.refresh_from_db()
    assert admin.password != before
    assert log_in(admin.email).status_code == 200


def test_a_password_that_is_changed_meanwhile_opens_nothing(
    admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change_it(password: str, encoded: str) -> tuple[bool, bool]:
        with tenancy.platform():
            User.objects.filter(pk=admin.pk).update(password=make_password("Another one, 2"))
        return verify_password(password, encoded)

    monkeypatch.setattr(login, "verify_password", change_it)

    assert log_in(admin.email).status_code == 401
    assert not Session.objects.exists()


def test_a_second_factor_takes_a_second_step(admin: User) -> None:
    enrolled = enrol(admin)

    first = log_in(admin.email)
    second = ApiClient().post(
        VERIFY,
        {"temp_token": first.json()["temp_token"], "totp_code": totp(enrolled.secret, ahead=1)},
    )

    assert (first.status_code, set(first.json())) == (200, {"mfa_required", "temp_token"})
    assert first.json()["mfa_required"] is True
    assert second.status_code == 200
    assert ask(ME, second.json()["access"]).json()["mfa_enabled"] is True
    session = Session.objects.get(kind="api")
    assert session.mfa_at is not None
    assert last_event().action == "auth.login"


@pytest.mark.parametrize("tidy", [str, str.lower, lambda code: code.replace("-", " ")])
def test_a_backup_code_opens_once(admin: User, tidy: Callable[[str], str]) -> None:
    code = tidy(enrol(admin).backup_codes[3])

    def use() -> int:
        token = log_in(admin.email).json()["temp_token"]
        return int(ApiClient().post(VERIFY, {"temp_token": token, "backup_code": code}).status_code)

    assert (use(), use()) == (200, 401)


def test_a_temporary_token_opens_one_session_and_nothing_else(admin: User) -> None:
    enrolled = enrol(admin)
    token = log_in(admin.email).json()["temp_token"]
    body = {"temp_token": token, "totp_code": totp(enrolled.secret, ahead=1)}

    assert ask(ME, token).status_code == 401
    assert ApiClient().post("/api/v1/auth/refresh", {"refresh": token}).status_code == 401
    assert ApiClient().post(VERIFY, body).status_code == 200
    again = {"temp_token": token, "backup_code": enrolled.backup_codes[0]}
    assert ApiClient().post(VERIFY, again).json()["code"] == "auth.token_refused"
    assert Session.objects.filter(kind="api").count() == 1


def test_an_access_token_is_no_temporary_one(admin: User) -> None:
    access = log_in(admin.email).json()["access"]
    enrolled = enrol(admin)
    body = {"temp_token": access, "totp_code": totp(enrolled.secret, ahead=1)}

    assert ApiClient().post(VERIFY, body).json()["code"] == "auth.token_refused"


def test_a_temporary_token_lasts_five_minutes(admin: User) -> None:
    enrolled = enrol(admin)
    then = clock.now() - timedelta(minutes=5)
    found = login.log_in(email=admin.email, password=PASSWORD, now=then)
    assert isinstance(found, Awaited)
    body = {"temp_token": found.temp_token, "backup_code": enrolled.backup_codes[0]}

    assert ApiClient().post(VERIFY, body).status_code == 401


def test_wrong_codes_lock_the_account(admin: User) -> None:
    enrolled = enrol(admin)
    token = log_in(admin.email).json()["temp_token"]

    for _ in range(5):
        wrong = ApiClient().post(VERIFY, {"temp_token": token, "totp_code": "000000"})
        assert wrong.json()["code"] == "auth.mfa_code_refused"
    right = {"temp_token": token, "totp_code": totp(enrolled.secret, ahead=1)}
    locked = ApiClient().post(VERIFY, right)

    assert (locked.status_code, locked.json()["code"]) == (423, "auth.account_locked")
    assert last_event().details == {"error_kind": "locked"}


def test_a_right_password_does_not_wash_wrong_codes_away(admin: User) -> None:
    enrol(admin)

    for _ in range(5):
        token = log_in(admin.email).json()["temp_token"]
        ApiClient().post(VERIFY, {"temp_token": token, "totp_code": "000000"})

    assert log_in(admin.email).status_code == 423


def test_a_code_is_accepted_once_even_for_two_logins_at_the_same_time() -> None:
    user = make_user(make_organization())
    enrolled = enrol(user, now=clock.now() - timedelta(minutes=2))
    now = clock.now()
    code = totp(enrolled.secret, now=now)
    tokens = [login.log_in(email=user.email, password=PASSWORD, now=now) for _ in range(2)]

    def finish(found: object) -> Callable[[], object]:
        assert isinstance(found, Awaited)
        return lambda: login.verify_mfa(
            temp_token=found.temp_token, code=code, now=now, origin=login.Origin()
        )

    outcomes = race(*map(finish, tokens))

    assert sorted(type(outcome).__name__ for outcome in outcomes) == [
        "SecondFactorRefused",
        "Tokens",
    ]
    assert Session.objects.filter(kind="api").count() == 1


def test_two_who_use_one_temporary_token_at_once_get_one_session() -> None:
    user = make_user(make_organization())
    enrolled = enrol(user)
    now = clock.now()
    found = login.log_in(email=user.email, password=PASSWORD, now=now)
    assert isinstance(found, Awaited)
    token = found.temp_token

    def finish(code: str) -> Callable[[], object]:
        return lambda: login.verify_mfa(temp_token=token, code=code, now=now, origin=login.Origin())

    outcomes = race(*[finish(code) for code in enrolled.backup_codes[:2]])

    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["TokenRefused", "Tokens"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"temp_token": "x"},
        {"totp_code": "123456"},
        {"temp_token": "x", "totp_code": "12345"},
        {"temp_token": "x", "totp_code": "\u0661\u0662\u0663\u0664\u0665\u0666"},
        {"temp_token": "x", "totp_code": "123456", "backup_code": "ABCDE-FGHJK"},
        {"temp_token": "x" * 5000, "totp_code": "123456"},
        {"temp_token": ["x"], "totp_code": "123456"},
    ],
)
def test_a_malformed_second_step_is_422(db: None, body: dict[str, Any]) -> None:
    assert ApiClient().post(VERIFY, body).status_code == 422


def test_an_expired_password_opens_a_session_for_nothing_but_a_new_one(admin: User) -> None:
    User.objects.update(password_changed_at=clock.now() - timedelta(days=90))

    answer = log_in(admin.email).json()

    token = answer["access"]
    assert answer["password_expired"] is True
    refused = ask(TASKS, token)
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.password_expired")
    changed = ask(
        "/api/v1/auth/change-password",
        token,
        "post",
        {"current_password": PASSWORD, "new_password": "A wholly new one, 4 times"},
    )
    assert changed.status_code == 200
    assert ask(TASKS, token).status_code == 200
    assert "password_expired" not in log_in(admin.email, "A wholly new one, 4 times").json()


def test_a_missing_second_factor_opens_a_session_for_nothing_but_enrolling(admin: User) -> None:
    restrict(admin)

    answer = log_in(admin.email).json()

    token = answer["access"]
    assert answer["mfa_enrollment_required"] is True
    refused = ask(TASKS, token)
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.mfa_enrollment_required")
    secret = ask("/api/v1/auth/mfa/setup", token, "post").json()["secret"]
    done = ask("/api/v1/auth/mfa/verify", token, "post", {"code": totp(secret)})
    assert done.status_code == 200
    assert ask(TASKS, token).status_code == 200


def test_within_the_grace_period_nothing_is_asked_for(admin: User) -> None:
    set_policy(admin.organization, mfa_required=True)

    answer = log_in(admin.email).json()

    assert "mfa_enrollment_required" not in answer
    assert ask(TASKS, answer["access"]).status_code == 200


def test_within_it_people_are_told_until_when(admin: User) -> None:
    now = clock.now()
    set_policy(admin.organization, now=now, mfa_required=True, mfa_grace_period_hours=2)
    due = {"mfa_due_at": f"{(now + timedelta(hours=2)).isoformat()[:26]}Z"}

    opened = log_in(admin.email).json()
    shown = ask(ME, opened["access"]).json()
    enrol(admin)

    assert opened["user"].items() >= due.items()
    assert shown.items() >= due.items()
    assert ask(ME, opened["access"]).json()["mfa_due_at"] is None


def test_somebody_new_has_the_grace_period_of_their_own(organization: Organization) -> None:
    set_policy(organization, now=clock.now() - timedelta(days=30), mfa_required=True)
    newcomer = make_user(organization)

    assert "mfa_enrollment_required" not in log_in(newcomer.email).json()


def test_beyond_the_number_of_sessions_the_oldest_ends(admin: User) -> None:
    set_policy(admin.organization, session_max_concurrent=2)

    tokens = [log_in(admin.email).json()["access"] for _ in range(3)]

    assert [ask(ME, token).status_code for token in tokens] == [401, 200, 200]
    assert AuditEvent.objects.filter(action="session.end_oldest").count() == 1


def test_two_logins_at_once_count_each_other() -> None:
    user = make_user(make_organization())
    set_policy(user.organization, session_max_concurrent=1)

    def enter() -> object:
        return login.log_in(email=user.email, password=PASSWORD, now=clock.now())

    race(enter, enter, enter)

    assert Session.objects.filter(revoked_at=None).count() == 1


def test_a_session_ends_when_the_policy_says_however_often_it_was_refreshed(admin: User) -> None:
    set_policy(admin.organization, session_max_duration_hours=2)
    pair = log_in(admin.email).json()
    end = Session.objects.get().expires_at

    ApiClient().post("/api/v1/auth/refresh", {"refresh": pair["refresh"]})

    session = Session.objects.get()
    assert session.expires_at == end
    assert timedelta(hours=2) - (end - session.created_at) < timedelta(seconds=5)


def test_an_oversized_login_is_refused(db: None) -> None:
    body = b'{"email": "a@example.com", "password": "' + b"x" * (10 * 1024 * 1024) + b'"}'

    assert ApiClient().post(LOGIN, body).status_code == 413


def test_a_locked_account_is_unlocked_by_a_command(admin: User) -> None:
    fail(admin, 5)

    call_command("unlock_user", admin.email.upper())

    assert last_event().action == "user.unlock"
    assert log_in(admin.email).status_code == 200
    with pytest.raises(CommandError, match="Nobody has the e-mail"):
        call_command("unlock_user", "nobody@example.com")
