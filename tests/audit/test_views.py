"""`/api/v1/audit-events` and `/api/v1/admin/audit`: what is listed, to whom, by which index."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization, User
from audit.models import AuditEvent
from kernel.actors import SYSTEM, Actor
from tests.accounts.factories import withdraw
from tests.audit.factories import record, seal
from tests.clients import ApiClient

Api = Callable[[User | None], ApiClient]
EVENTS = "/api/v1/audit-events"
ADMIN = "/api/v1/admin/audit"
# Later than every login of these tests.
ADA = str(UUID(int=1))
ROBOT = str(UUID(int=7))
NOON = datetime(2100, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def client(api: Api, viewer: User) -> ApiClient:
    """A viewer, whose login is no longer among the events."""
    return api(viewer).known()


@pytest.fixture
def events(organization: Organization, client: ApiClient) -> list[AuditEvent]:
    """Three events that differ in everything, oldest first."""
    mine = organization.pk
    agent = Actor(type="agent", id=ROBOT, label="Robot", request_id="x")
    return [
        record(mine, now=NOON),
        record(mine, now=NOON + MINUTE, actor=agent, action="task.start", status="failure"),
        record(
            mine,
            now=NOON + 2 * MINUTE,
            actor=SYSTEM,
            action="hub.start",
            resource_type="hub",
            resource_id="",
            status="denied",
            correlation_id="c",
        ),
    ]


def listed(client: ApiClient, path: str = EVENTS, **query: Any) -> list[str]:
    answer = client.get(path, since=NOON.isoformat(), **query)
    assert answer.status_code == 200, answer.content
    return [item["id"] for item in answer.json()["items"]]


def ids(*events: AuditEvent) -> list[str]:
    return [str(event.pk) for event in events]


def test_an_event_in_the_words_of_both_seeds(
    api: Api, admin: User, client: ApiClient, organization: Organization
) -> None:
    event = record(organization.pk, now=NOON, details={"changes": {"name": ["a", "b"]}})
    seal()
    event.refresh_from_db()

    (shown,) = client.get(EVENTS, since=NOON.isoformat()).json()["items"]
    (plain,) = (
        api(admin)
        .get(ADMIN, since=NOON.isoformat(), until=(NOON + MINUTE).isoformat())
        .json()["items"]
    )

    assert shown == {
        "id": str(event.pk),
        "actor": f"user:{ADA}",
        "actor_label": "Ada",
        "action": "task.create",
        "resource": "task:t",
        "status": "success",
        "correlation_id": "r",
        "metadata": {"changes": {"name": ["a", "b"]}},
        "ip_address": "10.0.0.1",
        "occurred_at": "2100-11-22T12:00:00Z",
        "position": event.position,
        "previous_hash": event.previous_hash,
        "hash": event.hash,
    }
    assert plain == {
        "id": str(event.pk),
        "action": "task.create",
        "resource_type": "task",
        "resource_id": "t",
        "actor_type": "user",
        "actor_id": ADA,
        "status": "success",
        "details": {"changes": {"name": ["a", "b"]}},
        "changes": {"name": ["a", "b"]},
        "ip_address": "10.0.0.1",
        "created_at": "2100-11-22T12:00:00Z",
    }
    assert client.get(f"{EVENTS}/{event.pk}").json() == shown


@pytest.mark.parametrize(
    ("query", "places"),
    [
        ({}, [2, 1, 0]),
        ({"actor": f"user:{ADA}"}, [0]),
        ({"actor": "system"}, [2]),
        ({"actor": f"agent:{ROBOT}"}, [1]),
        ({"actor": f"user:{ROBOT}"}, []),
        ({"actor": "system:worker"}, []),
        ({"actor": "anonymous"}, []),
        ({"action": "task.start"}, [1]),
        ({"action": "task.nothing"}, []),
        ({"resource": "task:t"}, [1, 0]),
        ({"resource": "hub"}, [2]),
        ({"resource": "task"}, []),
        ({"correlation_id": "x"}, [1]),
        ({"correlation_id": "c"}, [2]),
        ({"status": "denied"}, [2]),
        ({"status": "success"}, [0]),
        ({"until": (NOON + MINUTE).isoformat()}, [0]),
        ({"until": "2100-11-22T13:02:00+01:00"}, [1, 0]),
        ({"actor": f"user:{ADA}", "status": "failure"}, []),
    ],
)
def test_filters_are_exact(
    client: ApiClient, events: list[AuditEvent], query: dict[str, str], places: list[int]
) -> None:
    assert listed(client, **query) == ids(*(events[place] for place in places))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("since", "yesterday"),
        ("since", "2026-11-22"),
        ("since", "2100-11-22T12:00:00"),
        ("until", "2026-13-22T12:00:00Z"),
        ("status", "good"),
        ("limit", "0"),
        ("limit", "x"),
        ("cursor", "x"),
        ("cursor", "MjAyNi0xMS0yMlQxMjowMDowMCB4"),
        ("actor", "\x00"),
        ("actor", "x" * 200),
        ("actor", "user"),
        ("actor", "user:1"),
        ("actor", "key:nonsense"),
        ("actor", "agent:"),
        ("actor", "system:"),
        ("actor", "nobody:1"),
        ("actor", ADA),
        ("action", "task"),
        ("action", "task."),
        ("action", "Task.create"),
        ("action", "task.create.it"),
        ("resource", ":t"),
        ("resource", "task:"),
        ("resource", "A task"),
    ],
)
def test_bad_parameters_are_named(api: Api, admin: User, name: str, value: str) -> None:
    for path in (EVENTS, ADMIN):
        answer = api(admin).get(path, **{name: value})

        assert answer.status_code == 422
        assert [error["field"] for error in answer.json()["errors"]] == [name]


def test_a_time_without_its_offset_is_answered_with_one_that_has_it(client: ApiClient) -> None:
    (error,) = client.get(EVENTS, since="2026-11-22").json()["errors"]

    assert error["message"] == "Send date, time and offset, e.g. 2026-11-22T00:00:00Z."
    assert client.get(EVENTS, since="2026-11-22T00:00:00Z").status_code == 200


@pytest.mark.parametrize("value", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_the_ends_of_time_are_instants(client: ApiClient, value: str) -> None:
    assert client.get(EVENTS, since=value).status_code == 200
    assert client.get(EVENTS, until=value).status_code == 200


@pytest.mark.parametrize("path", [EVENTS, ADMIN])
@pytest.mark.parametrize("simultaneous", [True, False])
def test_pages_follow_each_other_while_rows_arrive(
    api: Api, admin: User, organization: Organization, path: str, *, simultaneous: bool
) -> None:
    client = api(admin).known()
    step = timedelta() if simultaneous else MINUTE
    rows = [record(organization.pk, now=NOON + n * step) for n in range(5)]
    seen: list[str] = []
    asked: str | None = f"{path}?limit=2&action=task.create"

    while asked:
        body = client.get(urlsplit(asked).path, **flat(asked)).json()
        seen += [item["id"] for item in body["items"]]
        assert (body["limit"], body["total_exact"]) == (2, True)
        asked = body["next"]
        record(organization.pk, now=NOON + timedelta(days=1))

    assert seen == ids(*reversed(rows))


def flat(address: str) -> dict[str, str]:
    return {name: value for name, (value,) in parse_qs(urlsplit(address).query).items()}


def test_a_page_is_100_rows_and_at_most_1000(client: ApiClient) -> None:
    assert client.get(EVENTS).json()["limit"] == 100
    assert client.get(EVENTS, limit=5000).json()["limit"] == 1000


def test_many_rows_are_not_counted_to_the_end(
    client: ApiClient, organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernel.http.pagination.EXACT_TOTAL", 2)
    monkeypatch.setattr("kernel.http.keyset.EXACT_TOTAL", 2)
    for _ in range(4):
        record(organization.pk, now=NOON)

    body = client.get(EVENTS, action="task.create", limit=1).json()
    later = client.get(EVENTS, **flat(body["next"])).json()

    assert (body["total"], body["total_exact"]) == (2, False)
    assert (later["total"], later["total_exact"]) == (2, False)


def test_a_failed_login_is_found_by_whose_it_was(api: Api, viewer: User, client: ApiClient) -> None:
    wrong = {"email": viewer.email, "password": "not the right one"}
    assert api(None).post("/api/v1/auth/login", wrong).status_code == 401

    found = client.get(EVENTS, resource=f"user:{viewer.pk}", status="failure").json()["items"]

    (event,) = found
    assert (event["action"], event["actor"]) == ("auth.login", "anonymous")
    assert (event["resource"], event["actor_label"]) == (f"user:{viewer.pk}", "")
    assert event["metadata"]["email_length"] == len(viewer.email)
    assert viewer.email not in str(event)


def test_another_organizations_events_are_not_there(
    api: Api, stranger: User, client: ApiClient, events: list[AuditEvent]
) -> None:
    other = api(stranger)

    assert listed(other) == []
    assert listed(other, ADMIN, action="task.create") == []
    assert other.get(f"{EVENTS}/{events[0].pk}").status_code == 404
    assert other.get(f"{EVENTS}/{uuid4()}").status_code == 404


def test_the_platforms_own_events_are_nobodys(client: ApiClient) -> None:
    event = record(None, now=NOON)

    assert event.organization_id == UUID(int=0)
    assert listed(client) == []


def test_reading_and_taking_out_are_two_rights(
    api: Api, admin: User, operator: User, viewer: User, events: list[AuditEvent]
) -> None:
    for user, allowed in ((admin, 200), (operator, 403), (viewer, 403)):
        assert api(user).get(EVENTS).status_code == 200
        assert api(user).get(ADMIN).status_code == allowed
    withdraw("audit.read")

    for path in ("", "/public-key", "/checkpoints", f"/{events[0].pk}"):
        assert api(admin).get(EVENTS + path).status_code == 403
    assert api(admin).post(f"{EVENTS}/verify").status_code == 403


def test_nothing_is_written_or_removed_by_the_api(
    api: Api, admin: User, events: list[AuditEvent]
) -> None:
    client = api(admin)

    assert client.post(EVENTS, {"action": "x"}).status_code == 405
    assert client.delete(f"{EVENTS}/{events[0].pk}").status_code == 405
    assert client.put(f"{EVENTS}/{events[0].pk}", {}).status_code == 405


# --- indexes --------------------------------------------------------------------------------


@pytest.fixture
def planner(db: None) -> None:
    """In a table of three rows the planner would walk and sort, whatever indexes there are."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off;")
        cursor.execute("SET LOCAL enable_bitmapscan = off")


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ({}, "audit_event_time"),
        ({"since": NOON.isoformat()}, "audit_event_time"),
        ({"status": "success"}, "audit_event_time"),
        ({"actor": f"user:{ADA}"}, "audit_event_by_actor"),
        ({"actor": f"user:{ADA}", "until": NOON.isoformat()}, "audit_event_by_actor"),
        ({"action": "task.create"}, "audit_event_by_action"),
        ({"resource": "task:t"}, "audit_event_by_resource"),
        ({"correlation_id": "r"}, "audit_event_by_request"),
        ({"status": "denied"}, "audit_event_by_status"),
    ],
)
def test_each_filter_has_its_index_in_the_lists_order(
    client: ApiClient, events: list[AuditEvent], planner: None, query: dict[str, str], index: str
) -> None:
    page = client.get(EVENTS, limit=1, **query).json()

    for asked in (query, flat(page["next"]) if page["next"] else query):
        with CaptureQueriesContext(connection) as seen:
            assert client.get(EVENTS, **asked).status_code == 200
        rows = next(
            q["sql"] for q in seen if "ORDER BY" in q["sql"] and "audit_auditevent" in q["sql"]
        )
        plan = plan_of(rows)
        assert set(re.findall(r"Scan Backward using (\w+)", plan)) == {index}, plan
        assert "Sort" not in plan


def plan_of(statement: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}")
        return "\n".join(line for (line,) in cursor.fetchall())
