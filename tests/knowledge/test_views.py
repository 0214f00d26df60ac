"""The four routes of knowledge: shapes, permissions, tenants, refusals."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from pytest_django.fixtures import DjangoAssertNumQueries

from accounts.models import Organization, User
from knowledge.models import KnowledgeChunk, KnowledgeEntry
from tests.clients import ApiClient
from tests.knowledge import factories

PATH = "/api/v1/knowledge/"
Api = Callable[[User | None], ApiClient]


def titles(answer: Any) -> list[str]:
    return [item["title"] for item in answer.json()["items"]]


@pytest.mark.parametrize("path", [PATH, PATH.rstrip("/")])
def test_an_entry_is_created(api: Api, admin: User, path: str) -> None:
    answer = api(admin).post(
        path, {"title": "Tasks", "content": "  A lease.\n", "tags": ["x"], "source": "wiki"}
    )

    entry = KnowledgeEntry.objects.get()
    body = answer.json()
    times = {body.pop("created_at"), body.pop("updated_at")}
    assert answer.status_code == 201
    assert len(times) == 1
    assert body == {
        "id": str(entry.pk),
        "title": "Tasks",
        "content": "  A lease.\n",
        "category": "general",
        "tags": ["x"],
        "source": "wiki",
    }


def test_an_entry_is_read_whole(api: Api, viewer: User) -> None:
    entry = factories.entry(viewer.organization, content="x" * 600)

    answer = api(viewer).get(f"{PATH}{entry.pk}")

    assert answer.status_code == 200
    assert answer.json()["content"] == "x" * 600


def test_a_deleted_entry_is_gone(api: Api, admin: User) -> None:
    entry = factories.entry(admin.organization)
    client = api(admin)

    answer = client.delete(f"{PATH}{entry.pk}")

    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(f"{PATH}{entry.pk}").status_code == 404
    assert client.delete(f"{PATH}{entry.pk}").status_code == 404
    assert titles(client.get(PATH)) == []


def test_the_list_is_newest_first_and_cuts_the_content(api: Api, viewer: User) -> None:
    for title in ("first", "second", "third"):
        factories.entry(viewer.organization, title=title, content="é" * 501)

    answer = api(viewer).get(PATH, limit=2)

    body = answer.json()
    assert titles(answer) == ["third", "second"]
    assert body["items"][0]["content"] == "é" * 500
    assert body["items"][0]["passages"] == []
    assert (body["total"], body["total_exact"]) == (3, True)
    assert body["next"] == f"{PATH}?limit=2&offset=2"


def test_the_list_is_filtered(api: Api, viewer: User) -> None:
    factories.entry(viewer.organization, title="a", category="manual", tags=["x", "y"])
    factories.entry(viewer.organization, title="b", category="manual")
    factories.entry(viewer.organization, title="c", tags=["x"])
    client = api(viewer)

    assert titles(client.get(PATH, category="manual")) == ["b", "a"]
    assert titles(client.get(PATH, tag="x")) == ["c", "a"]
    assert titles(client.get(PATH, category="manual", tag="x")) == ["a"]
    assert titles(client.get(PATH, search=" ")) == ["c", "b", "a"]


def test_a_search_ranks_and_shows_passages(api: Api, viewer: User) -> None:
    factories.entry(viewer.organization, title="part", content="A sublease.")
    factories.entry(viewer.organization, title="text", content="# Tasks\n\nA <b>lease</b>.")
    factories.entry(viewer.organization, title="Lease", content="Other.")
    factories.entry(viewer.organization, title="none", content="None.")

    answer = api(viewer).get(PATH, search="lease")

    passage = answer.json()["items"][1]["passages"][0]
    assert titles(answer) == ["Lease", "text", "part"]
    assert set(passage) == {"text", "highlight", "heading", "rank"}
    assert passage["heading"] == "Tasks"
    assert passage["text"] == "# Tasks\n\nA <b>lease</b>."
    assert "<mark>lease</mark>" in passage["highlight"]
    assert "<b>" not in passage["highlight"]


def test_another_organization_sees_nothing(api: Api, stranger: User, admin: User) -> None:
    entry = factories.entry(admin.organization, title="Lease")
    client = api(stranger)

    assert client.get(f"{PATH}{entry.pk}").status_code == 404
    assert client.delete(f"{PATH}{entry.pk}").status_code == 404
    assert titles(client.get(PATH)) == []
    assert titles(client.get(PATH, search="lease")) == []
    assert KnowledgeChunk.objects.filter(entry=entry).count() == 1


def test_a_viewer_reads_and_does_not_write(api: Api, viewer: User) -> None:
    entry = factories.entry(viewer.organization)
    client = api(viewer)

    assert client.post(PATH, {"title": "a", "content": "b"}).status_code == 403
    assert client.delete(f"{PATH}{entry.pk}").status_code == 403
    assert KnowledgeEntry.objects.filter(deleted_at=None).count() == 1


def test_a_stranger_is_asked_for_a_token(api: Api, organization: Organization) -> None:
    client = api(None)

    assert client.get(PATH).status_code == 401
    assert client.post(PATH, {}).status_code == 401
    assert client.get(f"{PATH}{uuid4()}").status_code == 401


GOOD = {"title": "Tasks", "content": "A lease."}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"content": "x"}, "title"),
        ({"title": "x"}, "content"),
        (GOOD | {"title": ""}, "title"),
        (GOOD | {"title": "x" * 501}, "title"),
        (GOOD | {"title": ["x"]}, "title"),
        (GOOD | {"title": "a\x00b"}, "title"),
        (GOOD | {"content": " \n "}, "content"),
        (GOOD | {"content": "a\x00b"}, "content"),
        (GOOD | {"content": {"a": 1}}, "content"),
        (GOOD | {"content": "x" * 2_000_001}, "content"),
        (GOOD | {"content": "é" * 1_000_001}, "content"),
        (GOOD | {"category": ""}, "category"),
        (GOOD | {"category": "x" * 65}, "category"),
        (GOOD | {"tags": "x"}, "tags"),
        (GOOD | {"tags": ["x" * 65]}, "tags.0"),
        (GOOD | {"tags": [None]}, "tags.0"),
        (GOOD | {"tags": ["x"] * 51}, "tags"),
        (GOOD | {"source": "x" * 1001}, "source"),
        ([GOOD], "body"),
    ],
)
def test_bad_values_are_refused_by_field(api: Api, admin: User, body: Any, field: str) -> None:
    answer = api(admin).post(PATH, body)

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "validation.invalid")
    assert [error["field"] for error in problem["errors"]] == [field]
    assert not KnowledgeEntry.objects.exists()


@pytest.mark.parametrize("body", [b"{", b'{"title": "\\ud800", "content": "x"}', b"\xff"])
def test_bad_json_is_a_400(api: Api, admin: User, body: bytes) -> None:
    answer = api(admin).post(PATH, body)

    assert (answer.status_code, answer.json()["code"]) == (400, "request.malformed")
    assert not KnowledgeEntry.objects.exists()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"search": "x" * 501}, "search"),
        ({"search": "\x00"}, "search"),
        ({"category": "x" * 65}, "category"),
        ({"tag": "\x00"}, "tag"),
        ({"limit": "-1"}, "limit"),
        ({"offset": "x"}, "offset"),
    ],
)
def test_bad_queries_are_refused(api: Api, viewer: User, query: dict[str, str], field: str) -> None:
    answer = api(viewer).get(PATH, **query)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_malformed_id_is_a_422(api: Api, viewer: User) -> None:
    assert api(viewer).get(f"{PATH}not-a-uuid").status_code == 422


@pytest.mark.parametrize("count", [1, 25])
def test_a_page_takes_the_same_queries_however_long(
    api: Api, viewer: User, django_assert_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    for number in range(count):
        factories.entry(viewer.organization, content=f"A lease, number {number}.")
        factories.entry(viewer.organization, content="A sublease.")
    client = api(viewer).known()

    # The page; the best chunks, their extracts, the parts of words.
    with django_assert_num_queries(4):
        client.get(PATH, search="lease", limit=200)
    with django_assert_num_queries(1):
        client.get(PATH)
