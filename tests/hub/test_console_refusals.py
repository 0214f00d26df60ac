"""A refused page of the console is a page, with a way back."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from accounts.models import IpRule, User
from hub.console import overview
from kernel import clock

BACK = f'href="{reverse("admin:index")}"'


@pytest.mark.parametrize(
    ("path", "status", "title"),
    [
        ("/admin/accounts/user/", 403, "Not allowed"),
        ("/admin/audit-export/", 403, "Not allowed"),
        ("/admin/nothing/", 404, "Not found"),
        ("/admin/settings/", 403, "Not allowed"),
        ("/admin/settings/security/", 403, "Not allowed"),
        ("/admin/settings/nothing/", 404, "Not found"),
        ("/admin/accounts/user/add/", 404, "Not found"),
        ("/admin/tasks/task/?nothing=1", 400, "Not understood"),
        ("/admin/tasks/task/?q=%00", 400, "Not understood"),
    ],
)
def test_a_refusal_is_a_page_with_a_way_back(
    client: Client, viewer: User, path: str, status: int, title: str
) -> None:
    client.force_login(viewer)

    answer = client.get(path)

    page = answer.content.decode()
    assert (answer.status_code, answer["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert f"{title} | Agent Hub" in " ".join(page.split())
    assert 'id="refused"' in page
    assert BACK in page
    assert "nav-sidebar" in page


def test_a_form_of_another_page_is_a_page_too(viewer: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(viewer)

    answer = strict.post("/admin/account/mfa-begin/")

    assert answer.status_code == 403
    assert "Nothing was done" in answer.content.decode()
    assert BACK in answer.content.decode()


def test_a_refused_address_reads_why(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    IpRule.objects.create(
        organization=viewer.organization, cidr="127.0.0.0/8", action="deny", position=0
    )

    answer = client.get("/admin/")

    assert (answer.status_code, answer["Content-Type"]) == (403, "text/html; charset=utf-8")
    assert "does not allow access from this address" in answer.content.decode()


@pytest.fixture
def failing(client: Client, viewer: User) -> Client:
    """A browser that is shown what the hub answers to a bug."""
    client.force_login(viewer)
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (RuntimeError("secret"), 500, "The hub failed"),
        (OperationalError("secret"), 503, "The database does not answer"),
    ],
)
def test_a_failure_is_a_page_that_says_nothing_of_its_cause(
    failing: Client, error: Exception, status: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise error

    monkeypatch.setattr(overview, "get_overview", fail)

    answer = failing.get("/admin/", headers={"X-Request-ID": "abc-1"})

    page = answer.content.decode()
    assert answer.status_code == status
    assert words in page
    assert "abc-1" in page
    assert "secret" not in page


def test_seed_004_s_part_answers_in_its_words(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: moment)
    answer = client.get("/v1/nothing")
    sibling = client.get("/v1/agentoverrides")

    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")
    assert (answer.json()["result"], answer.json()["errCode"]) == ("ERR", 404)
    assert answer.json().keys() == sibling.json().keys()
    assert answer.json()["date"] == sibling.json()["date"] == "2026-01-02T03:04:05.678901Z"


@pytest.mark.parametrize("path", ["/nothing", "/api/v1/nothing", "/sso/nothing"])
def test_other_routes_answer_problem_documents(client: Client, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 404
    assert answer["Content-Type"] == "application/problem+json"
