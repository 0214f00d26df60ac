"""The console's page of the usage ledger."""

from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.cost import factories

LIST = "admin:cost_usagerecord_changelist"


def test_the_list_shows_the_own_calls(client: Client, viewer: User, stranger: User) -> None:
    factories.record(viewer.organization, model="our-model")
    factories.record(stranger.organization, model="their-model")
    client.force_login(viewer)

    page = client.get(reverse(LIST), {"q": "model"}).content.decode()

    assert "our-model" in page
    assert "their-model" not in page


def test_a_call_opens_for_its_organization_only(
    client: Client, viewer: User, stranger: User
) -> None:
    row = factories.record(viewer.organization, model="our-model")
    address = reverse("admin:cost_usagerecord_change", args=[row.pk])

    client.force_login(viewer)
    assert "our-model" in client.get(address).content.decode()

    client.force_login(stranger)
    assert client.get(address).status_code == 302
