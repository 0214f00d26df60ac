"""Providers on loopback, and logins at them."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client

from accounts.models import Organization
from sso.clients import documents
from tests.peers import oidc_provider
from tests.peers.oidc_provider import Provider
from tests.peers.oidc_provider.crooked import Crooked, crooked
from tests.sso import factories

START = "/api/v1/auth/oidc/start"
FINISH = "/api/v1/auth/oidc/finish"
CALLBACK = "http://hub.example.com/sso/callback"


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    """The operator listed loopback; nothing is known of providers yet."""
    settings.HUB_OUTBOUND_ALLOW = (ip_network("127.0.0.0/8"),)
    settings.HUB_PUBLIC_URL = "http://hub.example.com"
    documents.forget()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """An honest provider for all tests."""
    folder = tmp_path_factory.mktemp("provider", numbered=True)
    with oidc_provider.honest(folder, redirect_uri=CALLBACK) as provider:
        yield provider


@pytest.fixture
def provider(running: Provider) -> Provider:
    """It says what it said at first."""
    running.reset()
    return running


@pytest.fixture
def liar() -> Iterator[Crooked]:
    """A provider that says what a test wants."""
    with crooked() as found:
        yield found


@dataclass
class Program:
    """A program that logs people in over the API."""

    client: Client

    def start(self, **body: Any) -> Any:
        """The answer to the first step."""
        return self.client.post(START, body, content_type="application/json")

    def finish(self, **body: Any) -> Any:
        """The answer to the second one."""
        return self.client.post(FINISH, body, content_type="application/json")

    def begin(self, organization: Organization) -> dict[str, Any]:
        """What a start answered that was not refused."""
        answer = self.start(organization=organization.slug)
        assert answer.status_code == 200, answer.content
        found: dict[str, Any] = answer.json()
        return found

    def log_in(self, organization: Organization, provider: Provider, name: str) -> Any:
        """All of it."""
        begun = self.begin(organization)
        return self.finish(**provider.visit(begun["authorization_url"], name))

    def lied_to(self, organization: Organization, liar: Crooked, **claims: Any) -> Any:
        """A login at a provider that is honest but for `claims`; None takes one away."""
        begun = self.begin(organization)
        liar.claims["nonce"] = asked(begun["authorization_url"])["nonce"]
        said = {**liar.claims, **claims}
        liar.claims = {key: value for key, value in said.items() if value is not None}
        return self.finish(state=begun["state"], code="a code")


@pytest.fixture
def program(db: None) -> Program:
    """A program."""
    return Program(Client(raise_request_exception=False))


@pytest.fixture
def connected(organization: Organization, provider: Provider) -> Organization:
    """The organization with the honest provider; its operators are the hub's."""
    factories.connect(organization, provider.issuer, group_roles=["operators=operator"])
    return organization


@pytest.fixture
def deceived(organization: Organization, liar: Crooked) -> Organization:
    """The organization with the crooked one, which makes accounts."""
    factories.connect(
        organization, liar.issuer, group_roles=["operators=operator"], create_users=True
    )
    return organization


def asked(address: str) -> dict[str, str]:
    """The query of an authorization address."""
    return {key: value[0] for key, value in parse_qs(urlsplit(address).query).items()}
