"""Logging in to the console with an identity provider."""

import socket
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest
from django.test import Client

from accounts.choices import UserRole
from accounts.models import Organization, Session, User
from audit.models import AuditEvent
from kernel.http import limits
from sso.clients import documents
from sso.models import PendingLogin
from tests.accounts.factories import enrol, make_user, totp
from tests.peers.oidc_provider.crooked import SUBJECT, Crooked, crooked
from tests.sso import factories
from tests.sso.conftest import asked

pytestmark = pytest.mark.django_db(transaction=True)
CALLBACK = "/sso/callback"
LOGIN = "/admin/login/"
COOKIE = "hub-sso"


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.HUB_OUTBOUND_ALLOW = (ip_network("127.0.0.0/8"),)
    documents.forget()


@pytest.fixture
def provider() -> Iterator[Crooked]:
    """A provider that knows Olivia."""
    with crooked() as found:
        yield found


@pytest.fixture
def olivia(organization: Organization, provider: Crooked) -> User:
    """An operator of an organization that has that provider."""
    factories.connect(organization, provider.issuer, button_label="Log in with <Us>")
    return make_user(organization, role=UserRole.OPERATOR, email="olivia@example.com")


def address(user: User) -> str:
    return f"/sso/{user.organization.slug}/login"


def go(client: Client, user: User, provider: Crooked, aim: str = "") -> str:
    """Away to the provider; the state with which it sends the browser back."""
    answer = client.get(address(user), {"next": aim} if aim else {})
    assert answer.status_code == 302, answer.content
    query = asked(answer["Location"])
    provider.claims["nonce"] = query["nonce"]
    return query["state"]


def come_back(client: Client, state: str, **more: str) -> Any:
    return client.get(CALLBACK, {"state": state, "code": "a code", **more})


def is_inside(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def said(answer: Any) -> str:
    return str(answer.content.decode())


def test_the_login_page_has_a_button(client: Client, olivia: User, provider: Crooked) -> None:
    page = said(client.get(f"{LOGIN}?next=/admin/tasks/task/"))

    assert f'href="{address(olivia)}?next=%2Fadmin%2Ftasks%2Ftask%2F"' in page
    assert "Log in with &lt;Us&gt;" in page
    assert provider.calls == []


def test_without_a_provider_there_is_no_button(client: Client, admin: User) -> None:
    assert "single-sign-on" not in said(client.get(LOGIN))


def test_a_login_opens_the_console(client: Client, olivia: User, provider: Crooked) -> None:
    state = go(client, olivia, provider, aim="/admin/tasks/task/")

    answer = come_back(client, state)

    assert answer["Location"] == "/admin/tasks/task/"
    assert is_inside(client)
    session = Session.objects.get()
    assert (session.kind, session.user) == ("console", olivia)
    assert AuditEvent.objects.latest("pk").action == "auth.oidc_login"
    assert client.cookies[COOKIE].value == ""


def test_the_cookie_of_before_opens_nothing(
    client: Client, olivia: User, provider: Crooked
) -> None:
    client.session.save()
    planted = client.cookies["sessionid"].value
    come_back(client, go(client, olivia, provider))

    assert client.cookies["sessionid"].value != planted
    thief = Client()
    thief.cookies["sessionid"] = planted
    assert not is_inside(thief)


@pytest.mark.parametrize(
    "aim",
    [
        "https://elsewhere.example.com/",
        "//elsewhere.example.com",
        "javascript:alert(1)",
        "\x00",
        "",
    ],
)
def test_a_login_leads_only_within_the_hub(
    client: Client, olivia: User, provider: Crooked, aim: str
) -> None:
    assert come_back(client, go(client, olivia, provider, aim))["Location"] == "/admin/"


def test_the_cookie_is_of_no_use_elsewhere(client: Client, olivia: User, provider: Crooked) -> None:
    go(client, olivia, provider)

    cookie = client.cookies[COOKIE]
    assert (cookie["path"], cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (
        "/sso/",
        True,
        "Lax",
        600,
    )


def test_a_link_with_somebody_elses_answer_logs_nobody_in(
    client: Client, olivia: User, provider: Crooked
) -> None:
    """Login CSRF: the state is good, but of another browser; there it stays good."""
    state = go(client, olivia, provider)
    victim = Client()

    for planted in (None, "x" * 43):
        if planted:
            victim.cookies[COOKIE] = planted
        answer = come_back(victim, state)
        assert answer.status_code == 400
        assert "This login was not begun here" in said(answer)
        assert not is_inside(victim)
    assert come_back(client, state).status_code == 302


def test_two_tabs_both_come_back(client: Client, olivia: User, provider: Crooked) -> None:
    first, cookie = go(client, olivia, provider), client.cookies[COOKIE].value
    nonce = provider.claims["nonce"]
    second = go(client, olivia, provider)
    assert client.cookies[COOKIE].value == cookie

    assert come_back(client, second).status_code == 302
    client.cookies[COOKIE] = cookie
    provider.claims["nonce"] = nonce
    assert come_back(client, first).status_code == 302


@pytest.mark.parametrize("state", ["", "x" * 43, "\x00", "x" * 5000])
def test_an_unknown_state_is_refused_in_words(client: Client, olivia: User, state: str) -> None:
    answer = come_back(client, state)

    assert answer.status_code == 400
    assert "Begin again." in said(answer)


def test_a_state_is_good_once(client: Client, olivia: User, provider: Crooked) -> None:
    state = go(client, olivia, provider)
    cookie = client.cookies[COOKIE].value
    come_back(client, state)
    client.cookies[COOKIE] = cookie

    assert come_back(client, state).status_code == 400


def test_what_the_provider_says_of_its_refusal_is_not_shown(
    client: Client, olivia: User, provider: Crooked
) -> None:
    state = go(client, olivia, provider)

    answer = client.get(
        CALLBACK,
        {"state": state, "error": "access_denied", "error_description": "<b>call 555</b>"},
    )

    assert answer.status_code == 401
    assert "555" not in said(answer)
    assert "The identity provider did not confirm this login." in said(answer)
    assert not PendingLogin.objects.exists()


def test_who_is_not_admitted_reads_why(client: Client, olivia: User, provider: Crooked) -> None:
    provider.claims["email_verified"] = False

    answer = come_back(client, go(client, olivia, provider))

    assert answer.status_code == 403
    assert "does not say that your e-mail address was verified" in said(answer)


def test_the_own_second_factor_is_asked_for_on_the_next_page(
    client: Client, olivia: User, provider: Crooked
) -> None:
    enrolled = enrol(olivia)

    answer = come_back(client, go(client, olivia, provider, aim="/admin/tasks/task/"))

    assert answer["Location"] == "/admin/login/code/?next=%2Fadmin%2Ftasks%2Ftask%2F"
    assert not is_inside(client)
    there = client.post(answer["Location"], {"code": totp(enrolled.secret, ahead=1)})
    assert there["Location"] == "/admin/tasks/task/"
    assert is_inside(client)


def test_a_factor_shown_to_the_provider_is_not_asked_for_again(
    client: Client, olivia: User, provider: Crooked
) -> None:
    enrol(olivia)
    provider.claims["amr"] = ["mfa"]

    assert come_back(client, go(client, olivia, provider))["Location"] == "/admin/"
    assert is_inside(client)


def test_a_provider_that_is_down_leaves_the_login_page_alone(client: Client, olivia: User) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    factories.connect(olivia.organization, f"http://127.0.0.1:{port}")

    answer = client.get(address(olivia))

    assert answer.status_code == 503
    assert "The identity provider cannot be used right now." in said(answer)
    assert str(port) not in said(answer)
    assert client.get(LOGIN).status_code == 200


def test_an_unknown_organization_reads_the_same_as_one_without(
    client: Client, olivia: User, other_organization: Organization
) -> None:
    pages = [client.get(f"/sso/{slug}/login") for slug in ("nobody", other_organization.slug)]

    assert [page.status_code for page in pages] == [404, 404]
    assert all("Single sign-on is not set up here." in said(page) for page in pages)


def test_the_answer_to_a_program_is_left_to_it(
    client: Client, olivia: User, provider: Crooked
) -> None:
    body = {"organization": olivia.organization.slug}
    begun = client.post("/api/v1/auth/oidc/start", body, content_type="application/json").json()
    provider.claims["nonce"] = asked(begun["authorization_url"])["nonce"]

    page = come_back(client, begun["state"])

    assert page.status_code == 200
    assert "A program began this login." in said(page)
    assert not is_inside(client)
    sent = {"state": begun["state"], "code": "a code"}
    path = "/api/v1/auth/oidc/finish"
    assert client.post(path, sent, content_type="application/json").status_code == 200


def test_a_browsers_state_opens_nothing_for_a_program(
    client: Client, olivia: User, provider: Crooked
) -> None:
    sent = {"state": go(client, olivia, provider), "code": "a code"}

    answer = client.post("/api/v1/auth/oidc/finish", sent, content_type="application/json")

    assert answer.status_code == 400
    assert come_back(client, sent["state"]).status_code == 302


@pytest.mark.parametrize("path", [CALLBACK, "/sso/nobody/login"])
def test_only_links_lead_here(client: Client, db: None, path: str) -> None:
    assert client.post(path).status_code == 405


def test_the_provider_is_asked_as_often_as_passwords_are_tried(
    client: Client, olivia: User, provider: Crooked, settings: Any
) -> None:
    settings.HUB_RATE_LIMITS = {"ip": 100, "login": 2, "register": 10}
    limits._refused.clear()

    statuses = [client.get(address(olivia)).status_code for _ in range(3)]

    assert statuses == [302, 302, 429]
    limits._refused.clear()


def test_somebody_linked_before_comes_in_by_their_subject(
    client: Client, olivia: User, provider: Crooked
) -> None:
    factories.link(olivia, provider.issuer, SUBJECT)
    provider.claims |= {"email": "renamed@example.com"}

    assert come_back(client, go(client, olivia, provider)).status_code == 302
