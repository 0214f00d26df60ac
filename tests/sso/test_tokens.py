"""ID tokens and documents that no honest provider would send."""

import json
import socket
import time
import warnings
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import jwt
import pytest

from accounts.models import Organization, Session, User
from audit.models import AuditEvent
from sso.clients import documents
from sso.models import Identity, PendingLogin
from tests.peers.oidc_provider import CLIENT_ID, SECRET
from tests.peers.oidc_provider.crooked import (
    SUBJECT,
    Crooked,
    ec_key,
    ed_key,
    jwk,
    rsa_key,
    unsigned,
)
from tests.sso import factories
from tests.sso.conftest import Program

pytestmark = pytest.mark.django_db(transaction=True)
NOW = int(time.time())


def last_kind() -> Any:
    event = AuditEvent.objects.filter(action="auth.oidc_login").latest("pk")
    return event.details.get("error_kind")


def nothing_happened() -> bool:
    rows = (Session, Identity, PendingLogin, User)
    return not any(model._default_manager.exists() for model in rows)


def test_an_honest_token_opens_a_session(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    answer = program.lied_to(deceived, liar, name="Olivia O.")

    assert answer.status_code == 200, answer.content
    user = User.objects.get()
    assert (user.email, user.full_name, user.role) == (
        "olivia@example.com",
        "Olivia O.",
        "operator",
    )
    assert not user.has_usable_password()
    assert Identity.objects.get().subject == SUBJECT


@pytest.mark.parametrize(
    ("claims", "kind"),
    [
        ({"nonce": "another"}, "wrong_nonce"),
        ({"nonce": None}, "wrong_nonce"),
        pytest.param({"exp": NOW - 3600}, "expired", id="exp-passed"),
        ({"exp": None}, "bad_token"),
        ({"exp": "soon"}, "bad_token"),
        pytest.param({"iat": NOW + 3600}, "bad_token", id="iat-ahead"),
        ({"iat": None}, "bad_token"),
        pytest.param({"nbf": NOW + 3600}, "bad_token", id="nbf-ahead"),
        ({"aud": "another client"}, "wrong_audience"),
        ({"aud": ["another client"]}, "wrong_audience"),
        ({"aud": None}, "bad_token"),
        ({"aud": [CLIENT_ID, "another client"]}, "wrong_party"),
        ({"aud": [CLIENT_ID, "another client"], "azp": "another client"}, "wrong_party"),
        ({"azp": "another client"}, "wrong_party"),
        ({"iss": "https://elsewhere.example.com"}, "wrong_issuer"),
        ({"iss": None}, "bad_token"),
        ({"sub": None}, "bad_token"),
        ({"sub": ""}, "bad_subject"),
        ({"sub": "x" * 256}, "bad_subject"),
        ({"sub": "a\x00b"}, "bad_subject"),
    ],
    ids=str,
)
def test_a_token_for_somebody_else_or_another_time_is_refused(
    program: Program, deceived: Organization, liar: Crooked, claims: dict[str, Any], kind: str
) -> None:
    answer = program.lied_to(deceived, liar, **claims)

    assert (answer.status_code, answer.json()["code"]) == (401, "sso.login_refused")
    assert answer.json()["detail"] == (
        "The identity provider did not confirm this login. Begin again."
    )
    assert last_kind() == kind
    assert nothing_happened()


def forged(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, rsa_key("thief"), algorithm="RS256", headers={"kid": "own"})


def without_signature(claims: dict[str, Any]) -> str:
    return unsigned(claims, {"alg": "none", "kid": "own"})


def none_in_other_letters(claims: dict[str, Any]) -> str:
    return unsigned(claims, {"alg": "nOnE", "kid": "own"})


def emptied(claims: dict[str, Any]) -> str:
    return unsigned(claims, {"alg": "RS256", "kid": "own"})


def with_our_secret(claims: dict[str, Any]) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return jwt.encode(claims, SECRET, algorithm="HS256", headers={"kid": "own"})


def with_the_public_key(claims: dict[str, Any]) -> str:
    """The classical confusion: what verifies RS256 is taken for a shared secret."""
    key = json.dumps(jwk(rsa_key("own"), "own"))
    return jwt.encode(claims, sha256(key.encode()).digest(), "HS256", headers={"kid": "own"})


def with_its_own_key(claims: dict[str, Any]) -> str:
    """The header brings the key along."""
    header = {"kid": "own", "jwk": jwk(rsa_key("thief"), "own"), "jku": "http://127.0.0.1:1/"}
    return jwt.encode(claims, rsa_key("thief"), algorithm="RS256", headers=header)


def in_another_algorithm(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, rsa_key("own"), algorithm="PS256", headers={"kid": "own"})


def cut(claims: dict[str, Any]) -> str:
    return forged(claims).rpartition(".")[0]


@pytest.mark.parametrize(
    ("sign", "kind"),
    [
        (forged, "bad_signature"),
        (without_signature, "bad_algorithm"),
        (none_in_other_letters, "bad_algorithm"),
        (emptied, "bad_signature"),
        (with_our_secret, "bad_algorithm"),
        (with_the_public_key, "bad_algorithm"),
        (with_its_own_key, "bad_signature"),
        (in_another_algorithm, "bad_algorithm"),
        (cut, "bad_token"),
        (lambda claims: "", "bad_token"),  # noqa: ARG005 - says nothing
        (lambda claims: None, "no_id_token"),  # noqa: ARG005 - says less
        (lambda claims: {"a": 1}, "no_id_token"),  # noqa: ARG005 - says something else
    ],
)
def test_a_token_that_the_provider_did_not_sign_is_refused(
    program: Program,
    deceived: Organization,
    liar: Crooked,
    sign: Callable[[dict[str, Any]], str],
    kind: str,
) -> None:
    liar.sign = sign

    answer = program.lied_to(deceived, liar)

    assert answer.status_code == 401
    assert last_kind() == kind
    assert nothing_happened()


@pytest.mark.parametrize(
    ("key", "algorithm"), [(ec_key, "ES256"), (ed_key, "EdDSA")], ids=["ES256", "EdDSA"]
)
def test_other_kinds_of_keys_are_understood(
    program: Program,
    deceived: Organization,
    liar: Crooked,
    key: Callable[[], Any],
    algorithm: str,
) -> None:
    liar.keys.append(jwk(key(), "other"))
    liar.sign = lambda claims: jwt.encode(
        claims, key(), algorithm=algorithm, headers={"kid": "other"}
    )

    assert program.lied_to(deceived, liar).status_code == 200


def test_an_algorithm_that_was_not_announced_is_refused(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    liar.metadata["id_token_signing_alg_values_supported"] = ["ES256"]

    assert program.lied_to(deceived, liar).status_code == 401
    assert last_kind() == "bad_algorithm"


def test_a_short_key_counts_for_nothing(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    key = rsa_key("short", 1024)
    liar.keys = [jwk(key, "short")]

    def sign(claims: dict[str, Any]) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return jwt.encode(claims, key, algorithm="RS256", headers={"kid": "short"})

    liar.sign = sign

    assert program.lied_to(deceived, liar).status_code == 401
    assert nothing_happened()


def test_keys_are_kept_and_read_anew_once_for_an_unknown_one(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    program.lied_to(deceived, liar)
    program.lied_to(deceived, liar)
    assert liar.asked("/keys") == 1
    liar.keys = [jwk(rsa_key("next"), "next")]
    liar.sign = lambda claims: jwt.encode(
        claims, rsa_key("next"), algorithm="RS256", headers={"kid": "next"}
    )

    assert program.lied_to(deceived, liar).status_code == 200

    assert liar.asked("/keys") == 2
    assert liar.asked("/.well-known/openid-configuration") == 1


def test_a_key_that_nobody_publishes_is_looked_for_once(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    program.lied_to(deceived, liar)
    liar.sign = lambda claims: jwt.encode(
        claims, rsa_key("thief"), algorithm="RS256", headers={"kid": "thief"}
    )

    assert program.lied_to(deceived, liar).status_code == 401

    assert (last_kind(), liar.asked("/keys")) == ("unknown_key", 2)


def test_a_token_without_a_name_of_its_key_is_verified_with_the_only_one(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    liar.keys.append(jwk(ec_key(), "of another kind"))
    liar.sign = lambda claims: jwt.encode(claims, rsa_key("own"), algorithm="RS256")
    assert program.lied_to(deceived, liar).status_code == 200
    liar.keys.append(jwk(rsa_key("next"), "next"))
    documents.forget()

    assert program.lied_to(deceived, liar).status_code == 401
    assert last_kind() == "unknown_key"


@pytest.mark.parametrize(
    ("metadata", "asked"),
    [
        ({}, "basic"),
        ({"token_endpoint_auth_methods_supported": ["client_secret_post"]}, "post"),
    ],
    ids=["basic", "post"],
)
def test_the_hub_shows_its_secret_as_the_provider_takes_it(
    program: Program, deceived: Organization, liar: Crooked, metadata: dict[str, Any], asked: str
) -> None:
    liar.metadata |= metadata

    assert program.lied_to(deceived, liar).status_code == 200

    _, headers, form = next(call for call in liar.calls if call[0] == "/token")
    assert ("authorization" in headers) is (asked == "basic")
    assert form.get("client_secret") == (SECRET if asked == "post" else None)
    assert (form["grant_type"], len(form["code_verifier"])) == ("authorization_code", 43)


def test_a_public_client_has_no_secret_to_show(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    factories.connect(deceived, liar.issuer, client_secret=None)

    assert program.lied_to(deceived, liar).status_code == 200

    _, headers, form = next(call for call in liar.calls if call[0] == "/token")
    assert "authorization" not in headers
    assert (form["client_id"], "client_secret" in form) == (CLIENT_ID, False)


def test_what_the_token_leaves_out_is_asked_of_userinfo(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    liar.userinfo = {
        "sub": SUBJECT,
        "email": "olivia@example.com",
        "email_verified": True,
        "groups": ["operators"],
        "amr": ["mfa"],
    }

    answer = program.lied_to(deceived, liar, email=None, email_verified=None, groups=None)

    assert answer.json()["user"]["role"] == "operator"
    assert Session.objects.get().mfa_at is None


def test_userinfo_of_somebody_else_is_refused(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    liar.userinfo = {"sub": "another", "email": "olivia@example.com", "email_verified": True}

    assert program.lied_to(deceived, liar, email=None).status_code == 401
    assert last_kind() == "wrong_userinfo"


def test_an_answer_that_names_another_issuer_is_mixed_up(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    state = program.begin(deceived)["state"]

    answer = program.finish(state=state, code="a code", iss="https://elsewhere.example.com")

    assert (answer.status_code, last_kind()) == (401, "mixed_up")
    assert liar.asked("/token") == 0


def test_an_answer_names_its_issuer_where_the_provider_says_so(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    liar.metadata["authorization_response_iss_parameter_supported"] = True

    assert program.lied_to(deceived, liar).status_code == 401
    assert last_kind() == "mixed_up"


PRIVATE = "http://10.0.0.1/x"


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://elsewhere.example.com"},
        {"issuer": None},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": None},
        {"token_endpoint": "file:///etc/passwd"},
        {"jwks_uri": 7},
    ],
    ids=str,
)
def test_a_document_that_is_none_begins_nothing(
    program: Program, deceived: Organization, liar: Crooked, metadata: dict[str, Any]
) -> None:
    liar.metadata |= metadata

    answer = program.start(organization=deceived.slug)

    assert (answer.status_code, answer.json()["code"]) == (503, "sso.provider_unavailable")
    assert answer.json()["detail"] == (
        "The identity provider cannot be used right now. Try again shortly, or log in with your"
        " password."
    )
    assert not PendingLogin.objects.exists()


@pytest.mark.parametrize("name", ["token_endpoint", "jwks_uri", "userinfo_endpoint"])
@pytest.mark.parametrize("address", [PRIVATE, "http://[::1]:1/", "http://169.254.169.254/latest"])
def test_a_document_that_points_inside_is_not_followed(
    program: Program, deceived: Organization, liar: Crooked, name: str, address: str
) -> None:
    liar.metadata[name] = address
    email = None if name == "userinfo_endpoint" else "olivia@example.com"

    answer = program.lied_to(deceived, liar, email=email)

    assert (answer.status_code, answer.json()["code"]) == (503, "sso.provider_unavailable")
    assert address not in answer.content.decode()
    assert last_kind() == "provider_unavailable"
    assert nothing_happened()


def test_a_private_provider_is_not_asked(
    program: Program, deceived: Organization, liar: Crooked, settings: Any
) -> None:
    settings.HUB_OUTBOUND_ALLOW = ()

    assert program.start(organization=deceived.slug).status_code == 503
    assert liar.calls == []


def test_a_provider_that_is_down_is_said_to_be(program: Program, deceived: Organization) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    factories.connect(deceived, f"http://127.0.0.1:{port}")

    answer = program.start(organization=deceived.slug)

    assert (answer.status_code, answer.json()["code"]) == (503, "sso.provider_unavailable")


def test_a_provider_that_went_down_meanwhile_uses_the_state_up(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    begun = program.begin(deceived)
    liar.status = 500

    answer = program.finish(state=begun["state"], code="a code")

    assert answer.status_code == 503
    assert not PendingLogin.objects.exists()


def test_a_document_that_never_ends_is_cut(
    program: Program, deceived: Organization, liar: Crooked
) -> None:
    liar.metadata["padding"] = "x" * 300_000

    assert program.start(organization=deceived.slug).status_code == 503


def test_a_failed_document_is_not_kept_for_long(
    program: Program,
    deceived: Organization,
    liar: Crooked,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good, liar.metadata = liar.metadata, {}
    assert program.start(organization=deceived.slug).status_code == 503
    liar.metadata = good
    monkeypatch.setattr(documents._failed, "_seconds", 0)

    assert program.start(organization=deceived.slug).status_code == 200
