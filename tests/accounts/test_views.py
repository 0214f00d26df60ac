"""Routes of `/api/v1/auth`: who gets in, for how long, and what ends it."""

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import jwt
import pytest
from django.conf import settings
from django.test import Client

from accounts.models import Session, User
from audit.models import AuditEvent
from kernel import clock
from tests.accounts.factories import PASSWORD, make_token
from tests.clients import ApiClient
from tests.footprint import footprint

LOGIN: Final = "/api/v1/auth/login"
REFRESH: Final = "/api/v1/auth/refresh"
ME: Final = "/api/v1/auth/me"
Api = Callable[[User | None], ApiClient]


def log_in(email: str, password: str = PASSWORD) -> Any:
    return ApiClient().post(LOGIN, {"email": email, "password": password})


def read_me(token: str, scheme: str = "Bearer") -> Any:
    return Client().get(ME, headers={"Authorization": f"{scheme} {token}"})


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def signed(token: str, *, key: str = "", algorithm: str = "HS256", **changes: Any) -> str:
    """The same token with other claims, or signed otherwise."""
    claims = {k: v for k, v in {**claims_of(token), **changes}.items() if v is not ...}
    secret: str = "" if algorithm == "none" else key or str(settings.SIMPLE_JWT["SIGNING_KEY"])
    return jwt.encode(claims, secret, algorithm=algorithm)


@pytest.mark.parametrize("path", [LOGIN, LOGIN + "/"])
def test_a_login_answers_under_every_published_name(admin: User, path: str) -> None:
    before = clock.now()

    answer = ApiClient().post(path, {"email": admin.email, "password": PASSWORD})

    body = answer.json()
    access, refresh = body["access"], body["refresh"]
    user = body.pop("user")
    expires_at = datetime.fromisoformat(body.pop("expires_at"))
    assert answer.status_code == 200
    assert body == {
        "access": access,
        "refresh": refresh,
        "access_token": access,
        "refresh_token": refresh,
        "token": access,
        "token_type": "bearer",
    }
    assert user.pop("created_at")
    assert user == {
        "id": str(admin.pk),
        "email": admin.email,
        "full_name": "The admin",
        "role": "admin",
        "is_active": True,
        "mfa_enabled": False,
        "mfa_due_at": None,
        "organization_id": str(admin.organization_id),
    }
    assert before + timedelta(minutes=30) <= expires_at <= clock.now() + timedelta(minutes=30)


def test_tokens_carry_the_contracts_claims(admin: User) -> None:
    body = log_in(admin.email).json()

    session = Session.objects.get()
    for kind, lifetime in (("access", 30 * 60), ("refresh", 7 * 24 * 3600)):
        claims = claims_of(body[kind])
        assert claims.keys() == {"iss", "aud", "sub", "iat", "exp", "jti", "sid", "type", "org"}
        assert (claims["sub"], claims["sid"]) == (str(admin.pk), str(session.pk))
        assert (claims["org"], claims["type"]) == (str(admin.organization_id), kind)
        assert (claims["iss"], claims["aud"]) == ("agent-hub", "agent-hub")
        assert claims["exp"] - claims["iat"] == lifetime
    assert session.expires_at - session.created_at < timedelta(days=7, seconds=5)


def test_an_email_has_no_case(admin: User) -> None:
    assert log_in(admin.email.upper()).status_code == 200


def test_a_login_is_audited_without_its_secrets(admin: User) -> None:
    body = log_in(admin.email).json()

    event = AuditEvent.objects.get()
    session = Session.objects.get()
    assert (event.action, event.resource_type, event.resource_id) == (
        "auth.login",
        "session",
        str(session.pk),
    )
    written = json.dumps(footprint(), default=str)
    for secret in (PASSWORD, body["access"], body["refresh"]):
        assert secret not in written


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "a@example.com"},
        {"email": "nobody", "password": "x"},
        {"email": "a@example.com", "password": ""},
        {"email": "a@example.com", "password": "a\x00b"},
        {"email": "a@example.com", "password": ["x"]},
        {"email": "a@example.com", "password": "x" * 1025},
        {"email": "x" * 250 + "@example.com", "password": "x"},
    ],
)
def test_a_malformed_login_is_422(db: None, body: dict[str, Any]) -> None:
    assert ApiClient().post(LOGIN, body).status_code == 422


@pytest.mark.parametrize(
    "forge",
    [
        lambda _: "garbage",
        lambda _: "a.b.c",
        lambda token: token[:-2],
        lambda token: token + "é",
        lambda _: "x" * 5000,
        lambda token: signed(token, algorithm="none"),
        lambda token: signed(token, algorithm="HS384"),
        lambda token: signed(token, key="another key of more than thirty-two characters"),
        lambda token: signed(token, type="refresh"),
        lambda token: signed(token, type=...),
        lambda token: signed(token, exp=1),
        lambda token: signed(token, exp=...),
        lambda token: signed(token, iss="another-hub"),
        lambda token: signed(token, aud="another-hub"),
        lambda token: signed(token, aud=...),
        lambda token: signed(token, sid=...),
        lambda token: signed(token, sid=7),
        lambda token: signed(token, sid="7"),
        lambda token: signed(token, sub=...),
        lambda token: signed(token, sub="00000000-0000-0000-0000-000000000000"),
        lambda token: ".".join([_encoded({"alg": "HS256", "kid": "x"}), *token.split(".")[1:]]),
    ],
)
def test_a_forged_token_is_401(admin: User, forge: Callable[[str], str]) -> None:
    answer = read_me(forge(make_token(admin)))

    assert (answer.status_code, answer.json()["code"]) == (401, "auth.token_refused")
    assert answer["WWW-Authenticate"] == 'Bearer realm="agent-hub"'


def test_the_forger_above_could_have_passed(admin: User) -> None:
    assert read_me(signed(make_token(admin))).status_code == 200


@pytest.mark.parametrize("scheme", ["Basic", "Token", "bearer,"])
def test_another_scheme_is_401(admin: User, scheme: str) -> None:
    assert read_me(make_token(admin), scheme).status_code == 401


def test_a_refresh_token_opens_nothing(admin: User) -> None:
    assert read_me(log_in(admin.email).json()["refresh"]).status_code == 401


def test_an_access_token_refreshes_nothing(admin: User) -> None:
    answer = ApiClient().post(REFRESH, {"refresh": make_token(admin)})

    assert answer.status_code == 401


def test_an_old_access_token_is_401(admin: User) -> None:
    token = make_token(admin, now=clock.now() - timedelta(minutes=31))

    assert read_me(token).status_code == 401


@pytest.mark.parametrize("end", ["revoked", "user gone", "user disabled", "organization disabled"])
def test_what_ends_the_session_ends_its_tokens_at_once(admin: User, end: str) -> None:
    tokens = log_in(admin.email).json()
    if end == "revoked":
        Session.objects.update(revoked_at=clock.now())
    elif end == "user gone":
        admin.delete()
    elif end == "user disabled":
        User.objects.update(is_active=False)
    else:
        admin.organization.is_active = False
        admin.organization.save()

    refreshed = ApiClient().post(REFRESH, {"refresh_token": tokens["refresh"]})

    assert read_me(tokens["access"]).status_code == 401
    assert (refreshed.status_code, refreshed.json()["code"]) == (401, "auth.token_refused")


@pytest.mark.parametrize("name", ["refresh", "refresh_token"])
def test_a_refresh_gives_a_new_pair(admin: User, name: str) -> None:
    first = log_in(admin.email).json()

    second = ApiClient().post(REFRESH, {name: first["refresh"]}).json()
    third = ApiClient().post(REFRESH, {name: second["refresh"]})

    assert second.keys() == first.keys()
    assert second["refresh"] != first["refresh"]
    assert third.status_code == 200
    assert [read_me(pair["access"]).status_code for pair in (first, second)] == [200, 200]
    assert Session.objects.count() == 1


def test_a_refresh_token_that_comes_back_ends_the_session(admin: User) -> None:
    first = log_in(admin.email).json()
    second = ApiClient().post(REFRESH, {"refresh": first["refresh"]}).json()

    reused = ApiClient().post(REFRESH, {"refresh": first["refresh"]})

    assert (reused.status_code, reused.json()["code"]) == (401, "auth.refresh_reused")
    assert ApiClient().post(REFRESH, {"refresh": second["refresh"]}).status_code == 401
    assert read_me(second["access"]).status_code == 401
    event = AuditEvent.objects.latest("pk")
    assert (event.action, event.actor_id) == ("auth.refresh_reused", str(admin.pk))


@pytest.mark.parametrize("body", [{}, {"refresh": ""}, {"refresh": []}, {"refresh": "x" * 5000}])
def test_a_malformed_refresh_is_refused(db: None, body: dict[str, Any]) -> None:
    assert ApiClient().post(REFRESH, body).status_code == 422


@pytest.mark.django_db(transaction=True)
def test_a_logout_ends_one_session(admin: User) -> None:
    here, there = log_in(admin.email).json(), log_in(admin.email).json()
    bearer = {"Authorization": f"Bearer {here['access']}"}

    answer = Client().post("/api/v1/auth/logout/", "", "application/json", headers=bearer)

    assert (answer.status_code, answer.json()) == (200, {"detail": "Logged out."})
    assert read_me(here["access"]).status_code == 401
    assert ApiClient().post(REFRESH, {"refresh": here["refresh"]}).status_code == 401
    assert read_me(there["access"]).status_code == 200
    assert AuditEvent.objects.latest("pk").action == "auth.logout"


@pytest.mark.django_db(transaction=True)
def test_a_person_changes_only_the_own_name(api: Api, viewer: User) -> None:
    client = api(viewer)

    answer = client.put(
        ME, {"full_name": "Ada", "role": "admin", "email": "x@example.com", "is_active": False}
    )

    viewer.refresh_from_db()
    event = AuditEvent.objects.latest("pk")
    assert (answer.status_code, answer.json()["full_name"]) == (200, "Ada")
    assert client.get(ME).json() == answer.json()
    assert (viewer.full_name, viewer.role, viewer.is_active) == ("Ada", "viewer", True)
    assert (event.action, event.resource_id) == ("user.update", str(viewer.pk))


@pytest.mark.parametrize("name", ["", "x" * 256, None, "a\x00b"])
def test_a_bad_name_is_422(api: Api, viewer: User, name: str | None) -> None:
    client = api(viewer)
    before = footprint()

    assert client.put(ME, {"full_name": name}).status_code == 422
    assert footprint() == before


def _encoded(part: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
