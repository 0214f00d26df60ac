"""The console's board of circuit breakers."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from breakers.choices import Outcome
from breakers.models import CircuitBreaker
from tests.breakers.factories import NAME, call, make_breaker
from tests.hub.console_rows import address, list_address

pytestmark = pytest.mark.django_db(transaction=True)
SUBMITTED = {"_form_submitted": "on"}
LIMITS = {
    "failure_threshold": 1,
    "window_seconds": 60,
    "recovery_timeout_seconds": 30,
    "success_threshold": 2,
    "trial_timeout_seconds": 90,
}


@pytest.fixture
def console(client: Client, admin: User) -> Client:
    """An administrator's browser."""
    client.force_login(admin)
    return client


def test_the_board_shows_how_they_stand(console: Client, organization: Organization) -> None:
    make_breaker(organization, failure_threshold=1)
    call(organization, Outcome.FAILURE)
    make_breaker(organization, name="host:quiet")

    board = console.get(list_address(CircuitBreaker)).content.decode()

    assert 'data-status="breaker_open">Open<' in board
    assert 'data-status="breaker_closed">Closed<' in board
    assert "0 of 5" in board


def test_one_is_made_and_changed_in_dialogs(console: Client) -> None:
    page = reverse("admin:breakers_circuitbreaker_create_breaker")
    refused = console.post(page, {**SUBMITTED, **LIMITS, "name": "No Name"})
    console.post(page, {**SUBMITTED, **LIMITS, "name": NAME})
    made = CircuitBreaker.objects.get()

    change = address(CircuitBreaker, made.pk, "change_limits")
    assert 'value="60"' in console.get(change).content.decode()
    console.post(change, {**SUBMITTED, **LIMITS, "window_seconds": 61})

    made.refresh_from_db()
    assert (made.name, made.window_seconds, made.success_threshold) == (NAME, 61, 2)
    assert "Enter a valid value." in refused.content.decode()


def test_the_switches(console: Client, organization: Organization) -> None:
    breaker = make_breaker(organization)
    seen = []

    for button in ("force_open", "force_close", "reset_breaker"):
        console.post(address(CircuitBreaker, breaker.pk, button), SUBMITTED)
        breaker.refresh_from_db()
        seen.append(breaker.forced)

    assert seen == ["open", "closed", ""]


def test_what_is_held_says_since_when_and_by_whom(
    console: Client, admin: User, organization: Organization
) -> None:
    breaker = make_breaker(organization)
    make_breaker(organization, name="host:quiet")
    console.post(address(CircuitBreaker, breaker.pk, "force_close"), SUBMITTED)

    for path in (list_address(CircuitBreaker), address(CircuitBreaker, breaker.pk)):
        shown = console.get(path).content.decode()

        assert 'data-status="closed_held">Closed, held<' in shown
        assert f"</time>, by {admin.email}" in shown
