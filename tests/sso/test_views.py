"""Logging in over the API with a real provider (django-oauth-toolkit)."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection

from accounts.choices import UserRole
from accounts.models import Organization, Session, User
from audit.models import AuditEvent
from kernel import clock
from preferences.models import StoredSetting
from sso.models import Identity, PendingLogin
from sso.operations import logins
from tests.accounts.factories import make_user
from tests.clients import ApiClient
from tests.peers.oidc_provider import CLIENT_ID, SECRET, Provider
from tests.sso import factories
from tests.sso.conftest import CALLBACK, Program, asked

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def olivia(organization: Organization) -> User:
    """A viewer here whom the provider knows too."""
    return make_user(organization, role=UserRole.VIEWER, email="Olivia@Example.com")


def last_kind() -> Any:
    event = AuditEvent.objects.filter(action="auth.oidc_login").latest("pk")
    return event.details.get("error_kind")


def test_a_login_opens_a_session_of_the_api(
    program: Program, connected: Organization, provider: Provider, olivia: User
) -> None:
    answer = program.log_in(connected, provider, "olivia")

    body = answer.json()
    assert answer.status_code == 200, body
    assert set(body) == {
        "access",
        "refresh",
        "access_token",
        "refresh_token",
        "token",
        "token_type",
        "expires_at",
        "user",
    }
    assert body["user"]["email"] == olivia.email
    assert body["user"]["role"] == "operator"
    me = program.client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {body['token']}"})
    assert me.json()["id"] == str(olivia.pk)
    session = Session.objects.get()
    assert (session.kind, session.restriction, session.mfa_at) == ("api", "", None)
    assert Identity.objects.get().user == olivia
    assert not PendingLogin.objects.exists()


def test_what_was_done_is_audited(
    program: Program, connected: Organization, provider: Provider, olivia: User
) -> None:
    program.log_in(connected, provider, "olivia")

    found = AuditEvent.objects.filter(organization_id=connected.pk).order_by("pk")
    events = [(e.action, e.actor_type, e.actor_id) for e in found if e.action != "settings.update"]
    assert events == [
        ("identity.link", "system", "oidc"),
        ("user_role.grant", "system", "oidc"),
        ("auth.oidc_login", "user", str(olivia.pk)),
    ]


def test_the_browser_is_sent_with_pkce_state_and_nonce(
    program: Program, connected: Organization, provider: Provider
) -> None:
    begun = program.begin(connected)

    query = asked(begun["authorization_url"])
    pending = PendingLogin.objects.get()
    assert begun["authorization_url"].startswith(f"{provider.issuer}/authorize/?")
    assert query == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": CALLBACK,
        "scope": "openid email profile",
        "state": begun["state"],
        "nonce": pending.nonce,
        "code_challenge": query["code_challenge"],
        "code_challenge_method": "S256",
    }
    assert len(query["code_challenge"]) == 43
    assert pending.state_hash != begun["state"]
    assert len(begun["state"]) == 43
    assert pending.expires_at - pending.created_at == timedelta(minutes=10)


def test_nothing_of_the_login_is_kept_in_the_open(
    program: Program, connected: Organization
) -> None:
    begun = program.begin(connected)

    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(p)::text FROM sso_pendinglogin AS p")
        row = cursor.fetchone()[0]
    assert begun["state"] not in row
    assert bytes(PendingLogin.objects.get().sealed_verifier)[:1] == b"\x01"
    assert SECRET not in str(list(StoredSetting.objects.values()))


def test_the_only_organization_needs_no_name(program: Program, connected: Organization) -> None:
    assert program.start().status_code == 200


@pytest.mark.parametrize("name", ["", "nobody", "<theirs>"])
def test_without_a_provider_there_is_nothing_to_begin(
    program: Program, connected: Organization, other_organization: Organization, name: str
) -> None:
    """Nor where several organizations are and none is named."""
    answer = program.start(organization=name.replace("<theirs>", other_organization.slug))

    assert (answer.status_code, answer.json()["code"]) == (404, "sso.not_configured")
    assert not PendingLogin.objects.exists()


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8123/callback",
        "http://[::1]:8123/",
        "http://127.0.0.1/callback",
        CALLBACK,
    ],
)
def test_the_answer_may_go_to_the_hub_or_to_the_own_machine(
    program: Program, connected: Organization, address: str
) -> None:
    answer = program.start(organization=connected.slug, redirect_uri=address)

    assert answer.status_code == 200
    assert asked(answer.json()["authorization_url"])["redirect_uri"] == address


@pytest.mark.parametrize(
    "address",
    [
        "https://elsewhere.example.com/callback",
        "http://localhost:8123/callback",
        "http://127.0.0.1@elsewhere.example.com/",
        "http://127.0.0.1.example.com/",
        "https://127.0.0.1:8123/",
        "http://127.0.0.1:8123/#part",
        "http://127.0.0.1:99999/",
        "javascript:alert(1)",
        f"{CALLBACK}/more",
        "http://[::1",
    ],
)
def test_the_answer_goes_nowhere_else(
    program: Program, connected: Organization, address: str
) -> None:
    answer = program.start(organization=connected.slug, redirect_uri=address)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "redirect_uri"
    assert not PendingLogin.objects.exists()


def test_a_loopback_login_comes_back(
    program: Program, connected: Organization, provider: Provider, olivia: User
) -> None:
    address = "http://127.0.0.1:8123/callback"
    begun = program.start(organization=connected.slug, redirect_uri=address).json()

    answer = program.finish(**provider.visit(begun["authorization_url"], "olivia"))

    assert answer.status_code == 200


@pytest.mark.parametrize("body", [{}, {"state": "s"}, {"code": "c"}, {"state": "", "code": "c"}])
def test_a_malformed_answer_is_refused(program: Program, body: dict[str, str]) -> None:
    assert program.finish(**body).status_code == 422


def test_an_unknown_state_is_refused(program: Program, connected: Organization) -> None:
    program.begin(connected)

    answer = program.finish(state="x" * 43, code="a code")

    assert (answer.status_code, answer.json()["code"]) == (400, "sso.state_refused")
    assert last_kind() == "unknown_state"
    assert PendingLogin.objects.count() == 1


def test_a_state_is_good_once(
    program: Program, connected: Organization, provider: Provider, olivia: User
) -> None:
    begun = program.begin(connected)
    sent = provider.visit(begun["authorization_url"], "olivia")
    assert program.finish(**sent).status_code == 200
    again = provider.visit(begun["authorization_url"], "olivia")

    assert program.finish(**sent).json()["code"] == "sso.state_refused"
    assert program.finish(**again).json()["code"] == "sso.state_refused"
    assert Session.objects.count() == 1


def test_a_failed_finish_uses_the_state_up_too(
    program: Program, connected: Organization, provider: Provider, olivia: User
) -> None:
    begun = program.begin(connected)
    sent = provider.visit(begun["authorization_url"], "olivia")

    refused = program.finish(state=begun["state"], code="guessed")

    assert (refused.status_code, refused.json()["code"]) == (401, "sso.login_refused")
    assert last_kind() == "code_refused"
    assert program.finish(**sent).status_code == 400


def test_an_idempotency_key_brings_no_state_back(
    program: Program, connected: Organization, provider: Provider, olivia: User
) -> None:
    begun = program.begin(connected)
    sent = provider.visit(begun["authorization_url"], "olivia")
    headers = {"Idempotency-Key": "one"}
    path = "/api/v1/auth/oidc/finish"
    body = {"state": begun["state"], "code": "guessed"}

    refused = program.client.post(path, body, content_type="application/json", headers=headers)

    assert refused.status_code == 401
    assert program.finish(**sent).status_code == 400
    assert last_kind() == "unknown_state"


def test_a_code_is_good_once(
    program: Program, connected: Organization, provider: Provider, olivia: User
) -> None:
    sent = provider.visit(program.begin(connected)["authorization_url"], "olivia")
    assert program.finish(**sent).status_code == 200

    answer = program.finish(state=program.begin(connected)["state"], code=sent["code"])

    assert answer.status_code == 401
    assert Session.objects.count() == 1


def test_a_code_of_another_login_is_refused(
    program: Program, connected: Organization, provider: Provider, olivia: User
) -> None:
    """Mixed up: the provider compares the PKCE verifier."""
    mine, theirs = program.begin(connected), program.begin(connected)
    code = provider.visit(theirs["authorization_url"], "olivia")["code"]

    answer = program.finish(state=mine["state"], code=code)

    assert answer.status_code == 401
    assert not Session.objects.exists()


def test_a_state_of_another_organization_opens_nothing_there(
    program: Program,
    connected: Organization,
    other_organization: Organization,
    provider: Provider,
    olivia: User,
) -> None:
    """The state says whose login it is: the code of ours is no good for theirs."""
    factories.connect(other_organization, provider.issuer, create_users=True, default_role="Admin")
    ours, theirs = program.begin(connected), program.begin(other_organization)
    code = provider.visit(ours["authorization_url"], "olivia")["code"]

    answer = program.finish(state=theirs["state"], code=code)

    assert answer.status_code == 401
    assert not User.objects.filter(organization=other_organization).exists()
    event = AuditEvent.objects.filter(action="auth.oidc_login").latest("pk")
    assert event.organization_id == other_organization.pk


def test_somebody_of_another_organization_is_not_found_by_email(
    program: Program,
    connected: Organization,
    other_organization: Organization,
    provider: Provider,
    olivia: User,
) -> None:
    factories.connect(other_organization, provider.issuer, create_users=True, default_role="Admin")

    answer = program.log_in(other_organization, provider, "olivia")

    assert (answer.status_code, answer.json()["code"]) == (403, "sso.not_admitted")
    assert last_kind() == "email_taken"
    assert not Identity.objects.exists()


def test_a_login_takes_at_most_ten_minutes(
    program: Program, connected: Organization, provider: Provider, olivia: User
) -> None:
    sent = provider.visit(program.begin(connected)["authorization_url"], "olivia")

    with time_machine.travel(clock.now() + timedelta(minutes=10, seconds=1)):
        answer = program.finish(**sent)

    assert answer.json()["code"] == "sso.state_refused"


def test_what_nobody_finished_is_forgotten(program: Program, connected: Organization) -> None:
    program.begin(connected)

    assert logins.forget_logins(now=clock.now()) == 0
    assert logins.forget_logins(now=clock.now() + timedelta(minutes=11)) == 1


def test_a_login_that_began_with_another_provider_is_over(
    program: Program, connected: Organization, provider: Provider, olivia: User
) -> None:
    sent = provider.visit(program.begin(connected)["authorization_url"], "olivia")
    factories.connect(connected, f"{provider.issuer}/")

    assert program.finish(**sent).json()["code"] == "sso.state_refused"


def test_settings_count_without_a_restart(
    program: Program, connected: Organization, admin: User
) -> None:
    assert program.start(organization=connected.slug).status_code == 200

    changed = ApiClient(admin).put("/api/v1/settings/security/oidc_issuer", {"value": None})

    assert changed.status_code == 200
    assert program.start(organization=connected.slug).status_code == 404
