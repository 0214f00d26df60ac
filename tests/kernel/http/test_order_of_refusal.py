"""Who is refused what, in which order: 401, 405, 404, 403, 422, 409 (contract decisions, 1)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import User
from audit.models import AuditEvent
from events.models import OutboxEvent
from tests.kernel.http.conftest import ROUTES, Api, Route

World = dict[str, str]
DETAIL = [route for route in ROUTES if route.is_detail]
WRITES = [route for route in ROUTES if route.writes]
MALFORMED = ["1", "not-a-uuid", "with.dot", "%00", "é", "x" * 2000, str(uuid4())[:-1]]
every_route = pytest.mark.parametrize("route", ROUTES, ids=str)


@pytest.mark.parametrize("role", ["admin", "operator", "viewer"])
@every_route
def test_each_role_may_what_its_role_says(
    api: Api, request: Any, world: World, route: Route, role: str
) -> None:
    client = api(request.getfixturevalue(role))
    path = route.path + ("/" if role == "operator" else "")  # both spellings, no redirect

    answer = replace(route, path=path).ask(client, world)

    refused = route.writes and role == "viewer"
    assert answer.status_code == (403 if refused else route.status)


@every_route
def test_a_stranger_must_log_in(
    api: Api, world: World, untouched: Callable[[], None], route: Route
) -> None:
    untouched()

    for ids in (world, dict.fromkeys(world, "malformed")):
        answer = route.ask(api(None), ids, b"{")

        assert (answer.status_code, answer.json()["code"]) == (401, "auth.required")
        assert answer["WWW-Authenticate"] == 'Bearer realm="agent-hub"'


@pytest.mark.parametrize("route", DETAIL, ids=str)
def test_another_organizations_object_does_not_exist(
    api: Api, stranger: User, world: World, untouched: Callable[[], None], route: Route
) -> None:
    client = api(stranger)
    untouched()

    answer = route.ask(client, world, b"{")
    unknown = route.ask(client, {name: str(uuid4()) for name in world}, b"{")

    assert (answer.status_code, unknown.status_code) == (404, 404)
    assert answer.json()["code"] == unknown.json()["code"]
    assert answer.json()["detail"] == unknown.json()["detail"]


def test_what_a_viewer_may_not_change_is_404_if_it_is_not_there(api: Api, viewer: User) -> None:
    answer = api(viewer).patch(f"/api/v1/tasks/{uuid4()}", {"title": "x"})

    assert answer.status_code == 404


@pytest.mark.parametrize("route", WRITES, ids=str)
def test_a_viewer_hears_403_before_the_body_is_read(
    api: Api, viewer: User, world: World, untouched: Callable[[], None], route: Route
) -> None:
    client = api(viewer)
    untouched()

    bodies: list[Any] = [..., b"{", []]
    for body in bodies:
        answer = route.ask(client, world, body)

        assert (answer.status_code, answer.json()["code"]) == (403, "permission.denied")


@pytest.mark.parametrize("route", [r for r in WRITES if r.is_detail], ids=str)
def test_a_viewer_hears_403_before_a_malformed_id(
    api: Api, viewer: User, world: World, route: Route
) -> None:
    answer = route.ask(api(viewer), dict.fromkeys(world, "1"))

    assert answer.status_code == 403


@pytest.mark.parametrize("route", DETAIL, ids=str)
def test_a_malformed_id_is_422(
    api: Api, admin: User, world: World, untouched: Callable[[], None], route: Route
) -> None:
    client = api(admin)
    untouched()

    for malformed in MALFORMED:
        answer = route.ask(client, dict.fromkeys(world, malformed))

        assert answer.status_code == 422
        assert answer.json()["errors"] == [
            {"field": "id", "message": "Send a UUID.", "type": "uuid"}
        ]


@pytest.mark.parametrize("route", [r for r in WRITES if r.bad], ids=str)
def test_a_bad_value_is_422_and_writes_nothing(
    api: Api, admin: User, world: World, untouched: Callable[[], None], route: Route
) -> None:
    client = api(admin)
    untouched()

    answer = route.ask(client, world, route.bad)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == list(route.bad)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/auth/me", "GET, PUT"),
        ("/auth/logout", "POST"),
        ("/auth/login", "POST"),
        ("/auth/refresh", "POST"),
        ("/agents", "GET, POST"),
        ("/agents/{agent}", "GET, PATCH, DELETE"),
        ("/agents/{agent}/start", "POST"),
        ("/agents/{agent}/versions", "GET"),
        ("/executions", "GET"),
        ("/executions/{execution}", "GET"),
        ("/tasks", "GET, POST"),
        ("/tasks/bulk", "POST"),
        ("/tasks/stats", "GET"),
        ("/tasks/{task}/attempts", "GET"),
        ("/tasks/{task}/explain", "GET"),
        ("/tasks/{task}", "GET, PATCH"),
        ("/tasks/{task}/cancel", "POST"),
    ],
)
def test_other_methods_are_405(
    api: Api, viewer: User, world: World, path: str, allowed: str
) -> None:
    client = api(viewer)
    refused = {"get", "post", "put", "patch", "delete"} - set(allowed.lower().split(", "))

    for method in refused:
        answer = Route(method, path).ask(client, world)

        assert (answer.status_code, answer["Allow"]) == (405, allowed)
        assert answer.json()["code"] == "request.method_not_allowed"


# Route -> action, resource, its key in the world (None: the new one), events.
EXPECTED_WRITES: dict[str, tuple[str, str, str | None, list[str]]] = {
    "post /agents": ("agent.create", "agent", None, []),
    "patch /agents/{agent}": ("agent.update", "agent", "agent", []),
    "delete /agents/{idle}": ("agent.delete", "agent", "idle", []),
    "post /agents/{idle}/start": ("agent.start", "agent", "idle", ["agent.status"]),
    "post /tasks": ("task.create", "task", None, ["task.created"]),
    "patch /tasks/{task}": ("task.update", "task", "task", ["task.updated"]),
    "post /tasks/{task}/cancel": ("task.cancel", "task", "task", ["agent.status", "task.updated"]),
}


@pytest.mark.parametrize("route", [r for r in WRITES if str(r) in EXPECTED_WRITES], ids=str)
def test_a_write_leaves_one_audit_row_and_its_events(
    api: Api, operator: User, world: World, route: Route
) -> None:
    client = api(operator)
    already = set(AuditEvent.objects.values_list("pk", flat=True))
    OutboxEvent.objects.all().delete()
    action, kind, which, told = EXPECTED_WRITES[str(route)]

    answer = route.ask(client, world)

    (event,) = AuditEvent.objects.exclude(pk__in=already)
    subject = world[which] if which else answer.json()["id"]
    assert (event.action, event.resource_type, event.resource_id) == (action, kind, subject)
    assert (event.actor_type, event.actor_id, event.actor_label) == (
        "user",
        str(operator.pk),
        operator.email,
    )
    assert event.organization_id == operator.organization_id
    assert (event.request_id, event.ip_address) == (answer["X-Request-ID"], "127.0.0.1")
    assert list(OutboxEvent.objects.order_by("pk").values_list("type", flat=True)) == told
