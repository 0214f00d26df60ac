"""The console page of the audit export: it checks the time and sends the browser to the route."""

from datetime import UTC, datetime

import pytest
from django.test import Client

from accounts.models import User
from audit import operations as audit
from audit.selectors import checkpoints
from kernel import clock
from tests.accounts.factories import make_actor

PAGE = "/admin/audit-export/"


@pytest.fixture
def console(client: Client, admin: User) -> Client:
    """An administrator's browser."""
    client.force_login(admin)
    return client


def record(user: User, moment: datetime) -> None:
    """A sealed row of that moment."""
    audit.record(
        actor=make_actor(user),
        organization_id=user.organization_id,
        action="task.create",
        resource_type="task",
        resource_id="1",
        now=moment,
    )
    audit.seal_events(now=clock.now())


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
    console: Client, admin: User, typed: dict[str, str], query: str
) -> None:
    record(admin, datetime(2026, 1, 31, 13, tzinfo=UTC))

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


@pytest.mark.parametrize("typed", [{"until": "2026-01-31T12:00"}, {"since": "2999-01-01T00:00"}])
def test_an_empty_export_is_said_before_it_is_downloaded(
    console: Client, admin: User, stranger: User, typed: dict[str, str]
) -> None:
    record(admin, datetime(2026, 1, 31, 13, tzinfo=UTC))
    record(stranger, datetime(2026, 1, 31, 11, tzinfo=UTC))

    answer = console.post(PAGE, typed)

    assert answer.status_code == 200
    assert "Nothing is recorded from that time." in answer.content.decode()


def test_the_page_has_the_key_that_checks_the_file(console: Client) -> None:
    key = checkpoints.current_key().text

    assert f'data-copy="{key}"' in console.get(PAGE).content.decode()


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
