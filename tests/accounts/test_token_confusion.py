"""Tokens that are not what they claim to be: none opens anything, in any place, at any door."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.choices import SessionKind
from accounts.models import Session, User
from kernel import clock
from tests.accounts.factories import PASSWORD, make_organization, make_token, make_user
from tests.clients import ApiClient
from tests.footprint import footprint

pytestmark = pytest.mark.django_db
PLACES: Final = ("bearer", "header", "key", "cookie")
RSA: Final = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE: Final = ec.generate_private_key(ec.SECP256R1())


def pem(key: Any, *, private: bool) -> bytes:
    if private:
        kind = serialization.PrivateFormat.PKCS8
        plain: bytes = key.private_bytes(
            serialization.Encoding.PEM, kind, serialization.NoEncryption()
        )
        return plain
    encoded: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def claims(token: str, **changes: Any) -> dict[str, Any]:
    read = jwt.decode(token, options={"verify_signature": False})
    return {name: value for name, value in {**read, **changes}.items() if value is not ...}


def sign(token: str, *, key: Any = None, algorithm: str = "HS256", **changes: Any) -> str:
    secret: Any = key if key is not None else settings.SIMPLE_JWT["SIGNING_KEY"]
    return jwt.encode(claims(token, **changes), secret, algorithm=algorithm)


def with_header(token: str, **header: Any) -> str:
    """The same claims and signature under another header."""
    return ".".join([encode(header), *token.split(".")[1:]])


def encode(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def by_hand(token: str, header: dict[str, Any], key: bytes) -> str:
    """Signed with HMAC under whatever bytes: the library refuses to use a public key so."""
    text = f"{encode(header)}.{encode(claims(token))}"
    algorithm = jwt.get_algorithm_by_name("HS256")
    signed = algorithm.sign(text.encode(), key)
    return f"{text}.{base64.urlsafe_b64encode(signed).decode().rstrip('=')}"


FORGED: Final[dict[str, Callable[[str], str]]] = {
    "no algorithm": lambda t: sign(t, key="", algorithm="none"),
    "no algorithm, old signature": lambda t: with_header(t, alg="none", typ="JWT"),
    "odd case of none": lambda t: with_header(t, alg="NoNe", typ="JWT"),
    "another key": lambda t: sign(t, key="another key of more than thirty-two characters"),
    "an empty key": lambda t: by_hand(t, {"alg": "HS256", "typ": "JWT"}, b""),
    "RS256": lambda t: sign(t, key=pem(RSA, private=True), algorithm="RS256"),
    "ES256": lambda t: sign(t, key=pem(CURVE, private=True), algorithm="ES256"),
    "HS256 under a public key": lambda t: by_hand(
        t, {"alg": "HS256", "typ": "JWT"}, pem(RSA, private=False)
    ),
    "RS256 that is HS256": lambda t: with_header(t, alg="RS256", typ="JWT"),
    "HS384 under our key": lambda t: sign(t, algorithm="HS384"),
    "a key of its own": lambda t: with_header(
        t, alg="HS256", typ="JWT", jwk={"kty": "oct", "k": "AA"}, jku="http://127.0.0.1/"
    ),
    "expired": lambda t: sign(t, exp=int((clock.now() - timedelta(seconds=1)).timestamp())),
    "never expires": lambda t: sign(t, exp=...),
    "expires as a text": lambda t: sign(t, exp="tomorrow"),
    "wrong audience": lambda t: sign(t, aud="another-hub"),
    "no audience": lambda t: sign(t, aud=...),
    "wrong issuer": lambda t: sign(t, iss="https://idp.example.com"),
    "no issuer": lambda t: sign(t, iss=...),
    "refresh": lambda t: sign(t, type="refresh"),
    "mfa": lambda t: sign(t, type="mfa"),
    "no type": lambda t: sign(t, type=...),
    "type as a list": lambda t: sign(t, type=["access"]),
    "no session": lambda t: sign(t, sid=...),
    "another session": lambda t: sign(t, sid="00000000-0000-0000-0000-000000000000"),
    "no organization": lambda t: sign(t, org=...),
    "organization as a star": lambda t: sign(t, org="*"),
    "another user": lambda t: sign(t, sub="00000000-0000-0000-0000-000000000000"),
    "no id": lambda t: sign(t, jti=...),
}


def ask(token: str, place: str = "bearer", path: str = "/api/v1/auth/me") -> Any:
    client = Client()
    headers = {
        "bearer": {"Authorization": f"Bearer {token}"},
        "header": {"agenthub-access-token": token},
        "key": {"X-API-Key": token},
    }.get(place, {})
    if place == "cookie":
        client.cookies["agenthub-access-token"] = token
    return client.get(path, headers=headers)


def is_refused(token: str) -> bool:
    return all(ask(token, place).status_code == 401 for place in PLACES)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", FORGED)
def test_a_forged_token_is_refused_wherever_it_is(admin: User, name: str, place: str) -> None:
    forged = FORGED[name](make_token(admin))
    before = footprint()

    answer = ask(forged, place)
    here = ask(forged, place, "/currentuser")

    assert (answer.status_code, answer.json()["code"]) == (401, "auth.token_refused")
    assert (here.status_code, here.json()["message"]) == (401, "No login found")
    assert footprint() == before


def test_the_forger_could_have_passed(admin: User) -> None:
    assert ask(sign(make_token(admin))).status_code == 200


@pytest.mark.parametrize("place", PLACES)
def test_a_refresh_token_is_no_access_token(admin: User, place: str) -> None:
    login = {"email": admin.email, "password": PASSWORD}
    tokens = ApiClient().post("/api/v1/auth/login", login).json()

    assert ask(tokens["refresh"], place).status_code == 401
    assert ask(tokens["access"], place).status_code == 200


def test_a_token_that_awaits_a_second_factor_opens_nothing(admin: User) -> None:
    User.objects.filter(pk=admin.pk).update(mfa_enabled_at=clock.now())
    login = {"email": admin.email, "password": PASSWORD}

    waiting = ApiClient().post("/api/v1/auth/login", login).json()

    assert waiting["mfa_required"] is True
    assert is_refused(waiting["temp_token"])
    pending = Session.objects.get(kind=SessionKind.PENDING)
    assert is_refused(sign(make_token(admin), sid=str(pending.pk)))


def test_one_organizations_session_is_not_found_in_another(admin: User) -> None:
    token = make_token(admin)
    other = make_organization()
    stranger = make_user(other)

    assert is_refused(sign(token, org=str(other.pk)))
    assert is_refused(sign(token, org=str(other.pk), sub=str(stranger.pk)))
    assert is_refused(sign(token, sub=str(stranger.pk)))
    assert is_refused(sign(token, sub=str(make_user(admin.organization).pk)))


@pytest.mark.parametrize("end", ["revoked", "expired", "user gone", "disabled", "organization"])
def test_a_token_ends_with_what_it_stands_for(admin: User, end: str) -> None:
    token = make_token(admin)
    match end:
        case "revoked":
            Session.objects.update(revoked_at=clock.now())
        case "expired":
            Session.objects.update(expires_at=clock.now())
        case "user gone":
            Session.objects.all().delete()
            admin.delete()
        case "disabled":
            User.objects.filter(pk=admin.pk).update(is_active=False)
        case _:
            type(admin.organization).objects.filter(pk=admin.organization_id).update(
                is_active=False
            )

    assert is_refused(token)


def test_a_forged_token_costs_no_query(admin: User) -> None:
    forged = FORGED["another key"](make_token(admin))

    with CaptureQueriesContext(connection) as queries:
        assert ask(forged).status_code == 401

    assert len(queries) == 0
