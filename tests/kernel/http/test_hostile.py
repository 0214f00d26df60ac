"""What once answered with a 500, or broke a list for good."""

from typing import Any

import pytest
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client, RequestFactory

from accounts.models import User
from kernel.http import middleware
from tests.clients import ApiClient

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("number", [1e20, 2**63, -(2**70)])
def test_a_number_of_any_size_leaves_the_list_readable(admin: User, number: float) -> None:
    api = ApiClient(admin)
    made = api.post("/api/v1/tasks/", {"title": "Big", "metadata": {"n": number}})

    listed = api.get("/api/v1/tasks/")

    assert made.status_code in {201, 400}
    assert listed.status_code == 200
    assert len(listed.json()["items"]) == (made.status_code == 201)


@pytest.mark.parametrize("field", ["title", "required_tools", "metadata"])
def test_deep_nesting_is_refused(admin: User, field: str) -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]

    answer = ApiClient(admin).post("/api/v1/tasks/", {"title": "Deep", field: deep})

    assert answer.status_code in {400, 422}
    assert answer["Content-Type"] == "application/problem+json"


def test_a_foreign_host_is_a_problem() -> None:
    answer = Client(raise_request_exception=False).get("/api/v1/tasks", HTTP_HOST="evil.example")

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "request.malformed"


def test_too_many_parameters_are_a_problem(admin: User) -> None:
    query = "&".join(f"p{number}=1" for number in range(3000))

    answer = ApiClient(admin).get(f"/api/v1/tasks/?{query}")

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"


def test_a_page_says_so_when_the_database_is_away(rf: RequestFactory) -> None:
    def refuse() -> None:
        raise OperationalError("connection refused: user hub_app")

    def page() -> HttpResponse:
        try:
            refuse()
        except OperationalError:
            return middleware.failed(rf.get("/admin/"))
        raise AssertionError

    answer = page()

    assert (answer.status_code, answer["Retry-After"]) == (503, "2")
    assert b"hub_app" not in answer.content
    assert middleware.failed(rf.get("/admin/")).status_code == 500
