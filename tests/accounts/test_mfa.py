"""Second factors over HTTP: enrolled, confirmed, used once, taken away; and step-up."""

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.management import call_command
from pytest_django.fixtures import Settings

from accounts.errors import MfaAlreadyEnabled, StepUpImpossible, StepUpRequired
from accounts.models import BackupCode, Session, TotpDevice, User
from accounts.operations import factors, mfa, stepup
from audit.models import AuditEvent
from kernel import clock
from kernel.errors import Forbidden
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
from tests.footprint import footprint
from tests.threads import race

pytestmark = pytest.mark.django_db(transaction=True)
MFA: Final = "/api/v1/auth/mfa"
STEP_UP: Final = "/api/v1/auth/step-up"
Api = Callable[[User | None], ApiClient]


def begin(client: ApiClient) -> Any:
    return client.post(f"{MFA}/setup")


def is_on(user: User) -> bool:
    user.refresh_from_db()
    return user.has_mfa


def unused(user: User) -> int:
    return BackupCode.objects.filter(user=user, used_at=None).count()


def test_a_setup_answers_what_an_authenticator_needs_and_changes_nothing_yet(
    api: Api, viewer: User
) -> None:
    answer = begin(api(viewer))

    body = answer.json()
    url = urlsplit(body["otpauth_url"])
    assert answer.status_code == 200
    assert body.keys() == {"secret", "otpauth_url", "qr_code", "qr_code_png"}
    assert (url.scheme, url.netloc) == ("otpauth", "totp")
    assert parse_qs(url.query) == {"secret": [body["secret"]], "issuer": ["Agent Hub"]}
    assert body["qr_code"].startswith("data:image/svg+xml")
    png = base64.b64decode(body["qr_code_png"].removeprefix("data:image/png;base64,"))
    assert png.startswith(b"\x89PNG")
    assert not is_on(viewer)


def test_the_secret_is_sealed_and_nowhere_written_down(api: Api, viewer: User) -> None:
    secret = begin(api(viewer)).json()["secret"]

    assert secret.encode() not in bytes(TotpDevice.objects.get().sealed_secret)
    assert secret not in str(footprint())


def test_a_first_code_turns_it_on_and_answers_ten_backup_codes(api: Api, viewer: User) -> None:
    client = api(viewer)
    secret = begin(client).json()["secret"]

    answer = client.post(f"{MFA}/verify", {"code": totp(secret)})

    body = answer.json()
    assert (answer.status_code, body["mfa_enabled"]) == (200, True)
    assert len(set(body["backup_codes"])) == 10
    assert is_on(viewer)
    assert Session.objects.get().mfa_at is None
    assert AuditEvent.objects.latest("pk").action == "mfa.enable"
    assert not any(code.replace("-", "") in str(footprint()) for code in body["backup_codes"])


@pytest.mark.parametrize("code", ["000000", "ABCDE-FGHJK", "x", "123 456 789"])
def test_a_wrong_first_code_turns_nothing_on(api: Api, viewer: User, code: str) -> None:
    client = api(viewer)
    begin(client)

    answer = client.post(f"{MFA}/verify", {"code": code})

    assert (answer.status_code, answer.json()["code"]) == (400, "auth.mfa_code_refused")
    assert not is_on(viewer)


@pytest.mark.parametrize("route", ["verify", "disable", "backup-codes"])
def test_nothing_is_verified_or_taken_away_that_is_not_there(
    api: Api, viewer: User, route: str
) -> None:
    client = api(viewer)
    before = footprint()

    password = {} if route == "verify" else {"password": PASSWORD}
    answer = client.post(f"{MFA}/{route}", {"code": "123456", **password})

    assert (answer.status_code, answer.json()["code"]) == (409, "auth.mfa_not_enabled")
    assert footprint() == before


@pytest.mark.parametrize("route", ["setup", "verify"])
def test_there_is_one_second_factor_at_a_time(api: Api, viewer: User, route: str) -> None:
    enrolled = enrol(viewer)

    answer = api(viewer).post(f"{MFA}/{route}", {"code": totp(enrolled.secret, ahead=1)})

    assert (answer.status_code, answer.json()["code"]) == (409, "auth.mfa_already_enabled")


def test_a_second_setup_replaces_one_that_was_never_confirmed(api: Api, viewer: User) -> None:
    client = api(viewer)
    first, second = (begin(client).json()["secret"] for _ in range(2))

    assert client.post(f"{MFA}/verify", {"code": totp(first)}).status_code == 400
    assert client.post(f"{MFA}/verify", {"code": totp(second)}).status_code == 200


def test_two_who_confirm_at_once_turn_it_on_once() -> None:
    user = make_user(make_organization())
    now, actor = clock.now(), make_actor(user)
    secret = mfa.begin(user=user, actor=actor, now=now).secret

    def confirm(ahead: int) -> Callable[[], object]:
        code = totp(secret, now=now, ahead=ahead)
        return lambda: mfa.confirm(user=user, session_id=None, code=code, actor=actor, now=now)

    outcomes = race(confirm(0), confirm(1))

    assert sum(isinstance(outcome, list) for outcome in outcomes) == 1
    assert unused(user) == 10
    losers = [type(o).__name__ for o in outcomes if not isinstance(o, list)]
    assert losers in (["MfaAlreadyEnabled"], ["CodeRefused"])


@pytest.mark.parametrize(
    ("password", "code", "status"), [("wrong", None, 400), (PASSWORD, "000000", 400)]
)
def test_turning_it_off_takes_both_factors(
    api: Api, viewer: User, password: str, code: str | None, status: int
) -> None:
    enrolled = enrol(viewer)
    right = code or totp(enrolled.secret, ahead=1)

    answer = api(viewer).post(f"{MFA}/disable", {"password": password, "code": right})

    assert answer.status_code == status
    assert is_on(viewer)


def test_turned_off_it_is_gone(api: Api, viewer: User) -> None:
    enrolled = enrol(viewer)
    body = {"password": PASSWORD, "code": totp(enrolled.secret, ahead=1)}

    assert api(viewer).post(f"{MFA}/disable", body).status_code == 200

    assert not is_on(viewer)
    assert not TotpDevice.objects.exists()
    assert not BackupCode.objects.exists()


def test_new_backup_codes_end_the_old_ones(api: Api, viewer: User) -> None:
    enrolled = enrol(viewer)
    body = {"password": PASSWORD, "code": enrolled.backup_codes[0]}

    fresh = api(viewer).post(f"{MFA}/backup-codes", body).json()["backup_codes"]

    assert not {*fresh} & {*enrolled.backup_codes}
    assert factors.use(user=viewer, code=fresh[0], now=clock.now())
    assert not factors.use(user=viewer, code=enrolled.backup_codes[1], now=clock.now())


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_a_clock_may_be_one_step_off(viewer: User, steps: int) -> None:
    enrolled = enrol(viewer, now=clock.now() - timedelta(minutes=5))
    now = clock.now()

    code = totp(enrolled.secret, now=now, ahead=steps)

    assert factors.use(user=viewer, code=code, now=now)
    assert not factors.use(user=viewer, code=code, now=now)


@pytest.mark.parametrize("steps", [-2, 2])
def test_a_clock_may_not_be_two_steps_off(viewer: User, steps: int) -> None:
    enrolled = enrol(viewer, now=clock.now() - timedelta(minutes=5))
    now = clock.now()

    assert not factors.use(user=viewer, code=totp(enrolled.secret, now=now, ahead=steps), now=now)


def test_an_earlier_step_is_no_good_after_a_later_one(viewer: User) -> None:
    enrolled = enrol(viewer, now=clock.now() - timedelta(minutes=5))
    now = clock.now()

    assert factors.use(user=viewer, code=totp(enrolled.secret, now=now, ahead=1), now=now)
    assert not factors.use(user=viewer, code=totp(enrolled.secret, now=now), now=now)


def test_one_code_at_the_same_time_is_good_once() -> None:
    user = make_user(make_organization())
    enrolled = enrol(user, now=clock.now() - timedelta(minutes=5))
    now = clock.now()

    for code in (totp(enrolled.secret, now=now), enrolled.backup_codes[0]):
        outcomes = race(*[lambda: factors.use(user=user, code=code, now=now)] * 3)  # noqa: B023 - run within the turn
        assert sorted(outcomes) == [False, False, True]


def test_a_secret_of_another_hub_key_opens_nothing(viewer: User, settings: Settings) -> None:
    enrolled = enrol(viewer, now=clock.now() - timedelta(minutes=5))
    settings.SECRET_KEY = "another key of this hub, of forty signs."

    for code in (totp(enrolled.secret), enrolled.backup_codes[0]):
        assert not factors.use(user=viewer, code=code, now=clock.now())


def test_whoever_lost_it_is_helped_by_a_command(api: Api, viewer: User) -> None:
    enrol(viewer)
    client = api(viewer)

    call_command("reset_mfa", viewer.email.upper())

    assert not is_on(viewer)
    assert client.get("/api/v1/auth/me").status_code == 401
    actions = AuditEvent.objects.order_by("-pk").values_list("action", flat=True)
    assert list(actions[:2]) == ["session.revoke_all", "user.reset_mfa"]


@pytest.mark.parametrize("route", ["verify", "disable", "backup-codes"])
@pytest.mark.parametrize("body", [{}, {"code": ""}, {"code": "1" * 33}, {"code": ["1"]}])
def test_malformed_bodies_are_422_and_change_nothing(
    api: Api, viewer: User, route: str, body: dict[str, Any]
) -> None:
    client = api(viewer)
    before = footprint()

    assert client.post(f"{MFA}/{route}", body).status_code == 422
    assert client.post(STEP_UP, body).status_code == 422
    assert footprint() == before


def test_a_stranger_and_a_key_have_no_second_factor(api: Api, keyed: ApiClient) -> None:
    for route in ("setup", "verify", "disable", "backup-codes"):
        assert api(None).post(f"{MFA}/{route}").status_code == 401
        assert keyed.post(f"{MFA}/{route}").status_code == 403
    assert keyed.post(STEP_UP).status_code == 403


def test_a_replayed_setup_is_not_answered_again(api: Api, viewer: User) -> None:
    client = api(viewer)
    key = {"Idempotency-Key": "once"}

    first, second = (client.post(f"{MFA}/setup", {}, headers=key) for _ in range(2))

    assert (first.status_code, second.status_code) == (200, 409)
    assert second.json()["code"] == "idempotency.not_replayable"


def test_stepping_up_makes_the_factor_fresh(api: Api, viewer: User) -> None:
    enrolled = enrol(viewer)
    client = api(viewer)

    answer = client.post(STEP_UP, {"code": totp(enrolled.secret, ahead=1)})

    assert answer.status_code == 200
    assert set(answer.json()) == {"fresh_until"}
    assert Session.objects.get().mfa_at is not None


def test_a_stolen_token_steps_up_with_no_factor_of_its_own(api: Api, admin: User) -> None:
    set_policy(admin.organization, step_up_required=True)
    stolen = api(admin)
    secret = begin(stolen).json()["secret"]
    assert stolen.post(f"{MFA}/verify", {"code": totp(secret)}).status_code == 200

    answer = stolen.post(STEP_UP, {"code": totp(secret, ahead=1)})

    assert (answer.status_code, answer.json()["code"]) == (403, "auth.factor_too_young")
    assert stolen.post("/api/v1/roles", {"name": "Mine"}).status_code == 401
    assert Session.objects.get().mfa_at is None


def test_making_a_key_asks_for_a_fresh_factor(api: Api, admin: User) -> None:
    set_policy(admin.organization, step_up_required=True)
    enrolled = enrol(admin)
    client = api(admin)
    body = {"name": "Key", "scopes": ["read"]}

    refused = client.post("/api/v1/security/api-keys", body)
    client.post(STEP_UP, {"code": totp(enrolled.secret, ahead=1)})
    made = client.post("/api/v1/security/api-keys", body)

    assert (refused.status_code, refused.json()["code"]) == (401, "auth.step_up_required")
    assert made.status_code == 201


def test_who_has_no_second_factor_cannot_step_up(api: Api, viewer: User) -> None:
    assert api(viewer).post(STEP_UP, {"code": "123456"}).status_code == 409


def test_nothing_is_asked_for_where_the_organization_does_not(viewer: User) -> None:
    stepup.require(user=viewer, mfa_at=None, now=clock.now())


def test_an_old_factor_is_refused_with_a_challenge(viewer: User) -> None:
    set_policy(viewer.organization, step_up_required=True)
    enrol(viewer)
    now = clock.now()

    stepup.require(user=viewer, mfa_at=now - timedelta(minutes=15), now=now)
    with pytest.raises(StepUpRequired) as refused:
        stepup.require(user=viewer, mfa_at=now - timedelta(minutes=15, seconds=1), now=now)
    assert refused.value.challenge == "step-up max_age=900 acr_values=mfa"
    with pytest.raises(StepUpRequired):
        stepup.require(user=viewer, mfa_at=None, now=now)


def test_who_has_none_is_told_to_enrol(viewer: User) -> None:
    set_policy(viewer.organization, step_up_required=True)

    with pytest.raises(StepUpImpossible) as refused:
        stepup.require(user=viewer, mfa_at=None, now=clock.now())

    assert (refused.value.status, refused.value.code) == (412, "auth.mfa_enrollment_required")


def test_a_key_cannot_show_a_factor(viewer: User) -> None:
    set_policy(viewer.organization, step_up_required=True)
    viewer.rights = viewer.rights.within(frozenset({"role.edit"}))

    with pytest.raises(Forbidden):
        stepup.require(user=viewer, mfa_at=None, now=clock.now())


def test_changing_roles_asks_for_a_fresh_factor(api: Api, admin: User) -> None:
    set_policy(admin.organization, step_up_required=True)
    body = {"name": "Reader", "permissions": ["task.read"]}

    enrolling = api(admin).post("/api/v1/roles", body)
    enrolled = enrol(admin)
    client = api(admin)
    stale = client.post("/api/v1/roles", body)
    client.post(STEP_UP, {"code": totp(enrolled.secret, ahead=1)})
    fresh = client.post("/api/v1/roles", body)

    assert (enrolling.status_code, stale.status_code, fresh.status_code) == (412, 401, 201)
    assert stale["WWW-Authenticate"] == "step-up max_age=900 acr_values=mfa"
    assert stale.json()["code"] == "auth.step_up_required"


def test_it_is_one_device_that_is_confirmed(viewer: User) -> None:
    enrol(viewer)

    with pytest.raises(MfaAlreadyEnabled):
        mfa.begin(user=viewer, actor=make_actor(viewer), now=clock.now())
