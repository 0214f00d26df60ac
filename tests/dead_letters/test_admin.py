"""The console's page of dead letters."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from dead_letters.models import DeadLetter
from tests.dead_letters.factories import make_dead
from tests.hub.console_rows import address, list_address

pytestmark = pytest.mark.django_db(transaction=True)
SUBMITTED = {"_form_submitted": "on"}


@pytest.fixture
def console(client: Client, admin: User) -> Client:
    """An administrator's browser."""
    client.force_login(admin)
    return client


def test_the_list_says_what_failed(console: Client, organization: Organization) -> None:
    make_dead(organization, title="Write the report")

    page = console.get(list_address(DeadLetter)).content.decode()

    assert "Write the report" in page
    assert "The provider is away." in page


def test_one_is_retried_another_removed(console: Client, organization: Organization) -> None:
    tasks = [make_dead(organization) for _ in range(2)]
    letters = [DeadLetter.objects.get(task=task) for task in tasks]

    console.post(address(DeadLetter, letters[0].pk, "redrive"), SUBMITTED)
    console.post(address(DeadLetter, letters[1].pk, "remove"), SUBMITTED)

    for letter in letters:
        letter.refresh_from_db()
    assert [letter.status for letter in letters] == ["redriven", "removed"]


def test_all_are_retried_in_a_dialog(console: Client, organization: Organization) -> None:
    make_dead(organization)
    button = reverse("admin:dead_letters_deadletter_redrive_all")

    asked = console.get(button).content.decode()
    console.post(button, SUBMITTED)

    assert "The hundred that wait longest go back to work" in asked
    assert DeadLetter.objects.get().status == "redriven"
