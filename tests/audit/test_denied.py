"""Refused changes leave a row: who, what, and why not; a flood of them does not."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from accounts.models import Organization, User
from audit import operations
from audit.models import AuditEvent
from kernel import clock
from tests.accounts.factories import make_actor
from tests.clients import ApiClient
from tests.projects.factories import make_project

Api = Callable[[User | None], ApiClient]
pytestmark = pytest.mark.django_db


def denied() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(status="denied").order_by("pk"))


def test_a_refused_change_is_recorded(api: Api, viewer: User, organization: Organization) -> None:
    project = make_project(organization)

    answer = api(viewer).put(f"/api/v1/projects/{project.pk}/status", {"status": "archived"})

    (event,) = denied()
    assert answer.status_code == 403
    assert (event.action, event.resource) == ("project.set_status", f"project:{project.pk}")
    assert (event.actor, event.organization_id) == (f"user:{viewer.pk}", organization.pk)
    assert event.request_id == answer["X-Request-ID"]
    assert event.details == {"code": "permission.denied", "permission": "tenancy.edit"}


def test_with_an_idempotency_key_too(api: Api, viewer: User) -> None:
    answer = api(viewer).post(
        "/api/v1/projects", {"name": "x"}, headers={"Idempotency-Key": str(uuid4())}
    )

    assert answer.status_code == 403
    assert [event.action for event in denied()] == ["project.create"]


def test_looking_and_not_being_known_are_not(api: Api, viewer: User) -> None:
    assert api(viewer).get("/api/v1/admin/audit").status_code == 403
    assert api(None).post("/api/v1/projects", {"name": "x"}).status_code == 401
    assert api(viewer).get("/api/v1/projects/nowhere").status_code == 422

    assert denied() == []


def test_a_flood_is_one_row_a_minute(viewer: User, operator: User) -> None:
    now = clock.now()

    for who, seconds in ((viewer, 0), (viewer, 1), (viewer, 59), (operator, 59), (viewer, 61)):
        operations.record_denied(
            actor=make_actor(who),
            action="x.y",
            resource_type="x",
            details={},
            now=now + timedelta(seconds=seconds),
        )

    found = [(event.actor_id, event.details) for event in denied()]
    assert found == [
        (str(viewer.pk), {}),
        (str(operator.pk), {}),
        (str(viewer.pk), {"repeated": 2}),
    ]


def test_the_memory_of_refusals_is_bounded(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "REFUSALS_KEPT", 2)
    memory, now = operations._Refusals(), clock.now()

    taken = [memory.take(("o", "a", str(n % 3)), now) for n in range(6)]

    assert taken == [0] * 6
    assert len(memory.seen) == 2
