"""The console page of the audit export: it checks the time and sends the browser to the route."""

import pytest
from django.test import Client

from accounts.models import User

PAGE = "/admin/audit-export/"


@pytest.fixture
def console(client: Client, admin: User) -> Client:
    """An administrator's browser."""
    client.force_login(admin)
    return client


@pytest.mark.parametrize(
    ("typed", "query"),
    [
        ({}, ""),
        ({"since": "2026-01-31T12:00"}, "since=2026-01-31T12%3A00%3A00Z"),
        (
            {"since": "2026-01-31T12:00:30", "until": "2026-02-01T00:00"},
            "since=2026-01-31T12%3A00%3A30Z&until=2026-02-01T00%3A00%3A00Z",
        ),
    ],
)
def test_the_browser_goes_on_to_the_download(
    console: Client, typed: dict[str, str], query: str
) -> None:
    answer = console.post(PAGE, typed)

    assert answer.status_code == 302
    assert answer["Location"] == f"/api/v1/audit-events/export?{query}"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"since": "yesterday"}, "Enter a valid date/time."),
        (
            {"since": "2026-01-31T12:00", "until": "2026-01-31T12:00"},
            "The end must be after the beginning.",
        ),
    ],
)
def test_a_time_that_is_none_stays_on_the_page(
    console: Client, typed: dict[str, str], words: str
) -> None:
    answer = console.post(PAGE, typed)

    assert answer.status_code == 200
    assert words in answer.content.decode()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("audit.too_many_exports", "Too many exports are under way."),
        ("<b>", "The export was refused."),
        ("", "The export was refused."),
    ],
)
def test_a_refusal_is_said_on_the_page(console: Client, code: str, words: str) -> None:
    page = console.get(PAGE, {"refused": code}).content.decode()

    assert words in page
    assert "<b>" not in page


def test_it_opens_for_administrators_alone(client: Client, operator: User) -> None:
    client.force_login(operator)

    assert client.get(PAGE).status_code == 403
    assert client.post(PAGE).status_code == 403
