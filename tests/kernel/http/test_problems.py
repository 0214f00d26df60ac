"""Errors on the wire, and pages of growing tables."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import pytest
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import Http404
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from accounts.models import User
from kernel.errors import Conflict, DomainError, Forbidden, Invalid, NotFound, Unavailable
from kernel.http import pagination, problems
from kernel.http.json import OrjsonRenderer
from kernel.http.pagination import BoundedPagination
from tasks.models import Task
from tasks.selectors import tasks as selectors
from tests.clients import ApiClient
from tests.tasks.factories import make_task

Api = Callable[[User | None], ApiClient]


def request(path: str = "/", **query: Any) -> Request:
    made = Request(APIRequestFactory().get(path, query))
    made._request.request_id = "r-1"  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (NotFound(), 404, "resource.not_found"),
        (Forbidden(), 403, "permission.denied"),
        (Invalid(), 422, "validation.invalid"),
        (Conflict(), 409, "state.conflict"),
        (Unavailable(), 503, "service.unavailable"),
        (DomainError(), 400, "hub.refused"),
        (Http404("secret path"), 404, "resource.not_found"),
        (PermissionDenied("secret"), 403, "permission.denied"),
        (exceptions.NotAuthenticated(), 401, "auth.required"),
        (exceptions.Throttled(wait=7), 429, "rate.limited"),
        (exceptions.NotAcceptable(), 406, "request.not_acceptable"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_refusal_is_a_problem(error: Exception, status: int, code: str) -> None:
    answer = problems.handle(error, {"request": request()})

    assert answer is not None
    body = answer.data
    assert (answer.status_code, body["status"], body["code"]) == (status, status, code)
    assert (body["type"], body["request_id"]) == (f"urn:agent-hub:problem:{code}", "r-1")
    assert body["title"] == problems.TITLES[status]
    assert "secret" not in str(body)


def test_waiting_times_are_headers() -> None:
    refusals = [
        exceptions.Throttled(wait=6.2),
        Unavailable(data={"retry_after_seconds": 30}),
    ]

    answers = [problems.handle(error, {"request": request()}) for error in refusals]

    assert [answer["Retry-After"] for answer in answers if answer] == ["7", "30"]


def test_nested_errors_are_flat() -> None:
    details: Any = {
        "name": ["Too long."],
        "rules": {"limit": ["Too low.", "Odd."]},
        "tags": {1: ["Blank."]},
        "rows": [{}, {"a": ["Bad."]}],
        "non_field_errors": ["Both or none."],
    }

    answer = problems.handle(exceptions.ValidationError(details), {"request": request()})

    assert answer is not None
    assert [(e["field"], e["message"], e["type"]) for e in answer.data["errors"]] == [
        ("name", "Too long.", "invalid"),
        ("rules.limit", "Too low.", "invalid"),
        ("rules.limit", "Odd.", "invalid"),
        ("tags.1", "Blank.", "invalid"),
        ("rows.1.a", "Bad.", "invalid"),
        ("body", "Both or none.", "invalid"),
    ]


def test_a_bug_says_nothing_of_its_cause(
    api: Api, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(**_: Any) -> None:
        raise LookupError("hunter2")

    monkeypatch.setattr(selectors, "list_tasks", break_down)

    answer = api(admin).get("/api/v1/tasks/")

    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert answer.json()["code"] == "internal.error"
    assert answer.json()["request_id"] == answer["X-Request-ID"]
    assert b"hunter2" not in answer.content


def test_a_large_table_is_not_counted_to_its_end(
    api: Api, admin: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagination, "EXACT_TOTAL", 3)
    for _ in range(3):
        make_task(admin.organization)
    client = api(admin)

    exact = client.get("/api/v1/tasks/", limit=1).json()
    make_task(admin.organization)
    capped = client.get("/api/v1/tasks/", limit=1).json()

    assert (exact["total"], exact["total_exact"]) == (3, True)
    assert (capped["total"], capped["total_exact"]) == (3, False)


def test_rows_in_no_fixed_order_are_not_paged(db: None) -> None:
    for rows in (Task.objects.all(), Task.objects.order_by("title")):
        with pytest.raises(ImproperlyConfigured):
            BoundedPagination().paginate_queryset(rows, request())


def test_money_is_not_a_float() -> None:
    document = {"cost": Decimal("0.10"), 1: (item for item in "ab"), "none": None}

    assert orjson.loads(OrjsonRenderer().render(document)) == {
        "cost": "0.10",
        "1": ["a", "b"],
        "none": None,
    }
    assert OrjsonRenderer().render(None) == b""


def test_half_a_character_is_shown_as_one_that_is_missing() -> None:
    assert orjson.loads(OrjsonRenderer().render({"a": "b\ud800"})) == {"a": "b?"}
