"""Passwords: the stored policy, changing one's own, and every other way to set one."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from accounts.models import Organization, PastPassword, Session, User
from accounts.operations import passwords
from audit.models import AuditEvent
from kernel import clock
from kernel.errors import Invalid
from tests.accounts.factories import PASSWORD, make_actor, make_token, set_policy
from tests.clients import ApiClient
from tests.footprint import footprint

pytestmark = pytest.mark.django_db(transaction=True)
CHANGE: Final = "/api/v1/auth/change-password"
NEW: Final = "Nine boats, 1 harbour"
Api = Callable[[User | None], ApiClient]


def change(client: ApiClient, new: str, current: str = PASSWORD) -> Any:
    return client.post(CHANGE, {"current_password": current, "new_password": new})


def set_to(user: User, password: str, days: int = 0) -> None:
    now = clock.now() + timedelta(days=days)
    passwords.set_password(user=user, password=password, actor=make_actor(user), now=now)


def logs_in(user: User, password: str) -> bool:
    body = {"email": user.email, "password": password}
    return bool(ApiClient().post("/api/v1/auth/login", body).status_code == 200)


def test_a_changed_password_counts_and_ends_the_other_sessions(api: Api, viewer: User) -> None:
    here, there = api(viewer), api(viewer)

    answer = change(here, NEW)

    event = AuditEvent.objects.latest("pk")
    assert answer.status_code == 200
    assert here.get("/api/v1/auth/me").status_code == 200
    assert there.get("/api/v1/auth/me").status_code == 401
    assert (event.action, event.resource_id) == ("user.change_password", str(viewer.pk))
    assert (logs_in(viewer, NEW), logs_in(viewer, PASSWORD)) == (True, False)
    assert NEW not in str(footprint())


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("Sh0rt enough", ""),
        ("Sh0rt enoug", "The password needs at least 12 characters."),
        ("no capital letter, 1", "The password needs a capital letter."),
        ("NO SMALL LETTER, 1", "The password needs a small letter."),
        ("Not a digit in it", "The password needs a digit."),
        ("NoSignOfAnyKind1", "The password needs a sign that is no letter or digit."),
        ("I am the Viewer, 7 times", "must not hold your name"),
        (PASSWORD, "one of your last passwords"),
    ],
)
def test_a_new_password_meets_the_policy(
    api: Api, viewer: User, password: str, message: str
) -> None:
    client = api(viewer)
    before = footprint()

    answer = change(client, password)

    if not message:
        assert answer.status_code == 200
        return
    body = answer.json()
    assert (answer.status_code, body["code"]) == (400, "auth.password_refused")
    assert [field["field"] for field in body["errors"]] == ["new_password"]
    assert message in body["errors"][0]["message"]
    assert footprint() == before


def test_everything_that_is_wrong_is_said_at_once(api: Api, viewer: User) -> None:
    said = change(api(viewer), "password").json()["errors"][0]["message"]

    assert said.count("The password needs") == 4
    assert "too common" in said


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"current_password": PASSWORD},
        {"current_password": PASSWORD, "new_password": ""},
        {"current_password": PASSWORD, "new_password": ["x"]},
        {"current_password": PASSWORD, "new_password": "x" * 1025},
        {"current_password": PASSWORD, "new_password": "a\x00b"},
    ],
)
def test_a_malformed_change_is_422(api: Api, viewer: User, body: dict[str, Any]) -> None:
    client = api(viewer)
    before = footprint()

    assert client.post(CHANGE, body).status_code == 422
    assert footprint() == before


def test_a_stranger_and_a_key_change_no_password(api: Api, keyed: ApiClient) -> None:
    assert change(api(None), NEW).status_code == 401
    assert change(keyed, NEW).status_code == 403


def test_the_last_passwords_do_not_come_back(viewer: User) -> None:
    chosen = [f"Number {number} of them." for number in range(6)]
    for days, password in enumerate(chosen):
        set_to(viewer, password, days)

    for password in chosen[1:]:
        with pytest.raises(Invalid):
            set_to(viewer, password, 7)
    set_to(viewer, chosen[0], 8)

    assert logs_in(viewer, chosen[0])
    assert PastPassword.objects.filter(user=viewer).count() == 7


def test_history_is_kept_no_longer_than_any_policy_asks(viewer: User) -> None:
    PastPassword.objects.bulk_create(
        PastPassword(organization=viewer.organization, user=viewer, password="!") for _ in range(30)
    )

    set_to(viewer, NEW)

    assert PastPassword.objects.count() == 24


def test_the_stored_policy_is_what_djangos_validators_ask(viewer: User) -> None:
    set_policy(
        viewer.organization,
        password_min_length=8,
        password_require_uppercase=False,
        password_require_digit=False,
        password_require_special=False,
    )

    validate_password("harbourboat", viewer)
    with pytest.raises(ValidationError):
        validate_password("HARBOURBOAT", viewer)


def test_a_made_up_password_meets_every_policy(viewer: User) -> None:
    set_policy(viewer.organization, password_min_length=29)

    for _ in range(50):
        passwords.check(password=passwords.make(), user=viewer)


def test_a_password_does_not_expire_where_it_need_not(
    viewer: User, organization: Organization
) -> None:
    set_policy(organization, password_max_age_days=0)
    User.objects.update(password_changed_at=clock.now() - timedelta(days=4000))

    body = {"email": viewer.email, "password": PASSWORD}
    assert "password_expired" not in ApiClient().post("/api/v1/auth/login", body).json()


def test_a_password_set_by_others_ends_all_sessions_and_lifts_the_lock(viewer: User) -> None:
    make_token(viewer)
    User.objects.update(failed_logins=7, locked_until=clock.now() + timedelta(hours=1))

    set_to(viewer, NEW)

    assert Session.objects.filter(revoked_at=None).count() == 0
    assert logs_in(viewer, NEW)
