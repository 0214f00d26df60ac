"""The console's page of limits."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from limits.models import LimitRule
from tests.agents.factories import make_agent
from tests.hub.console_rows import address, list_address
from tests.limits.factories import KEY, make_limit, take

pytestmark = pytest.mark.django_db(transaction=True)
SUBMITTED = {"_form_submitted": "on"}


@pytest.fixture
def console(client: Client, admin: User) -> Client:
    """An administrator's browser."""
    client.force_login(admin)
    return client


def test_the_page_shows_what_is_used(console: Client, organization: Organization) -> None:
    agent = make_agent(organization)
    make_limit(organization, scope="agent", name=str(agent.pk), max_concurrent=3)
    make_limit(organization, requests_per_minute=60)
    make_limit(organization, name="*", tokens_per_minute=10_000)
    take(organization)

    board = console.get(list_address(LimitRule)).content.decode()

    for shown in ("0 of 3", "1 of 60", "at most 10,000", "Counting", str(agent.pk)):
        assert shown in board


def test_one_is_made_changed_and_deleted_in_dialogs(console: Client) -> None:
    page = reverse("admin:limits_limitrule_create_limit")
    refused = console.post(page, {**SUBMITTED, "scope": "agent", "name": "x", "max_concurrent": 1})
    console.post(page, {**SUBMITTED, "scope": "key", "name": KEY, "max_concurrent": 4})
    made = LimitRule.objects.get()

    change = address(LimitRule, made.pk, "change_limit")
    assert 'value="4"' in console.get(change).content.decode()
    console.post(change, {**SUBMITTED, "tokens_per_minute": 1000})

    made.refresh_from_db()
    assert (made.name, made.max_concurrent, made.tokens_per_minute) == (KEY, None, 1000)
    assert "Send the id of an agent" in refused.content.decode()
    console.post(address(LimitRule, made.pk, "delete_limit"), SUBMITTED)
    assert not LimitRule.objects.exists()
