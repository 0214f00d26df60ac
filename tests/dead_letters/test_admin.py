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

    assert "One task goes back to work, with all retries." in asked
    assert DeadLetter.objects.get().status == "redriven"


def listed(client: Client, **query: str) -> set[str]:
    rows = client.get(list_address(DeadLetter), query).context["cl"].result_list
    return {letter.task.title for letter in rows}


def test_what_was_retried_or_removed_is_listed_when_asked_for(
    console: Client, organization: Organization
) -> None:
    for status in ("open", "redriven", "removed"):
        task = make_dead(organization, title=status)
        DeadLetter.objects.filter(task=task).update(status=status)

    assert listed(console) == {"open"}
    assert listed(console, status="removed") == {"removed"}
    assert listed(console, status="all") == {"open", "redriven", "removed"}
    assert listed(console, q="redriven") == {"redriven"}


def test_a_group_is_looked_at_and_retried(
    console: Client, admin: User, organization: Organization
) -> None:
    make_dead(organization, title="First", message="Port 80 is closed.")
    last = make_dead(organization, title="Last", message="Port 443 is closed.")
    make_dead(organization, title="Other")
    letter = DeadLetter.objects.get(task=last)

    groups = console.get(reverse("admin:dead_letters_deadletter_groups")).content.decode()
    alike = listed(console, group=letter.group)
    button = address(DeadLetter, letter.pk, "redrive_group")
    asked = console.get(button).content.decode()
    console.post(button, SUBMITTED)

    assert groups.index("Port 443 is closed.") < groups.index("The provider is away.")
    assert "Port 80" not in groups
    assert button in groups
    assert alike == {"First", "Last"}
    assert "2 tasks go back to work" in asked
    assert listed(console) == {"Other"}
    page = console.get(address(DeadLetter, letter.pk)).content.decode()
    assert admin.email in page.partition("ast retried by")[2][:600]


def test_groups_are_for_those_who_see_dead_letters(client: Client, viewer: User) -> None:
    client.force_login(viewer)

    assert client.get(reverse("admin:dead_letters_deadletter_groups")).status_code == 403
