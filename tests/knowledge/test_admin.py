"""The console's pages of knowledge."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from knowledge.models import KnowledgeEntry
from tests.knowledge import factories

LIST = "admin:knowledge_knowledgeentry_changelist"


@pytest.fixture
def console(client: Client) -> Client:
    """A browser; log in with `force_login`."""
    return client


def delete(console: Client, entry: KnowledgeEntry) -> None:
    asked = {"action": "delete_entries", "_selected_action": [str(entry.pk)]}
    console.post(reverse(LIST), asked)


def test_the_list_shows_the_own_entries(console: Client, viewer: User, stranger: User) -> None:
    factories.entry(viewer.organization, title="Our leases")
    factories.entry(stranger.organization, title="Their leases")
    console.force_login(viewer)

    page = console.get(reverse(LIST)).content.decode()

    assert "Our leases" in page
    assert "Their leases" not in page


@pytest.mark.parametrize(("query", "count"), [("lease", 2), ("token", 0), ("sublea", 1), (" ", 3)])
def test_the_list_is_searched_like_the_api(
    console: Client, viewer: User, query: str, count: int
) -> None:
    for content in ("A lease.", "A sublease.", "Nothing."):
        factories.entry(viewer.organization, content=content)
    console.force_login(viewer)

    page = console.get(reverse(LIST), {"q": query})

    assert len(page.context["cl"].result_list) == count


def test_an_entry_shows_its_passages(console: Client, viewer: User) -> None:
    entry = factories.entry(viewer.organization, content="# Tasks\n\n## Leases\n\nA <i>lease</i>.")
    console.force_login(viewer)

    page = console.get(reverse("admin:knowledge_knowledgeentry_change", args=[entry.pk]))

    assert "Tasks &gt; Leases" in page.content.decode()
    assert "A <i>lease</i>." not in page.content.decode()


def test_another_organizations_entry_does_not_open(
    console: Client, viewer: User, stranger: User
) -> None:
    entry = factories.entry(stranger.organization, title="Their leases")
    console.force_login(viewer)

    page = console.get(
        reverse("admin:knowledge_knowledgeentry_change", args=[entry.pk]), follow=True
    )

    assert "Their leases" not in page.content.decode()


def test_an_administrator_deletes_entries(console: Client, admin: User) -> None:
    entry = factories.entry(admin.organization)
    console.force_login(admin)

    delete(console, entry)

    assert KnowledgeEntry.objects.get().is_deleted


def test_a_viewer_is_not_offered_to_delete(console: Client, viewer: User) -> None:
    entry = factories.entry(viewer.organization)
    console.force_login(viewer)

    delete(console, entry)

    assert not KnowledgeEntry.objects.get().is_deleted


def test_another_organizations_entry_is_not_deleted(
    console: Client, admin: User, stranger: User
) -> None:
    entry = factories.entry(stranger.organization)
    console.force_login(admin)

    delete(console, entry)

    assert not KnowledgeEntry.objects.get().is_deleted
