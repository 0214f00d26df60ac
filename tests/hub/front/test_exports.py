"""The export of the audit chain: whole, to whom it belongs, and at nobody else's cost."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import OperationalError, connection

from accounts.models import Organization, User
from accounts.operations import callers
from audit.models import AuditChain, AuditEvent
from audit.selectors.exports import Export
from hub.front import exports, places
from kernel import clock
from tests.accounts import factories
from tests.audit.factories import record, seal
from tests.hub.front.peer import Front
from tests.hub.front.sse import wait_until
from tests.hub.front.taking import ROWS, TEXT, ask, bearer, check, resources, rest_of, stalled

pytestmark = pytest.mark.django_db(transaction=True)


def is_mine(number: str) -> bool:
    return number.isdecimal()


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_whole_chain_is_sent(front: Front, admin: User, chain: AuditChain, slash: str) -> None:
    answer = ask(front, bearer(admin), slash=slash)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["cache-control"] == "no-store"
    assert str(chain.pk) in answer.headers["content-disposition"]
    report = check(answer.content)
    assert (report.rows, report.checkpoints, report.fault) == (chain.position, 1, None)
    assert list(filter(is_mine, resources(answer.content))) == [str(n) for n in range(ROWS)]
    taken = AuditEvent.objects.get(action="audit.export")
    assert (taken.actor, taken.ip_address) == (f"user:{admin.pk}", "127.0.0.1")
    assert taken.details == {"first": 1, "last": chain.position}


def test_a_span_is_sent(front: Front, admin: User, organization: Organization) -> None:
    now = clock.now()
    for number in range(5):
        record(organization.pk, resource_id=number, now=now + timedelta(days=1 + number))
    seal()
    since, until = (now + timedelta(days=days) for days in (2, 4))

    answer = ask(front, bearer(admin), since=since.isoformat(), until=until.isoformat())

    assert resources(answer.content) == ["1", "2"]
    assert check(answer.content).fault is None


def test_refusals_come_before_the_first_byte(
    front: Front, admin: User, operator: User, chain: AuditChain
) -> None:
    asked: list[tuple[dict[str, str], dict[str, Any], int, str]] = [
        ({}, {}, 401, "auth.required"),
        ({"Authorization": "Bearer a.b.c"}, {}, 401, "auth.token_refused"),
        ({"X-API-Key": "ahk_nonsense"}, {}, 401, "auth.token_refused"),
        (bearer(operator), {"since": "x"}, 403, "permission.denied"),
        (bearer(operator), {"method": "POST"}, 405, "request.method_not_allowed"),
        (bearer(admin), {"since": "x"}, 422, "validation.invalid"),
        (bearer(admin), {"until": "2026-01-01T00:00:00"}, 422, "validation.invalid"),
    ]

    for headers, more, status, code in asked:
        answer = ask(front, headers, **more)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
    denied = AuditEvent.objects.get(action="audit.export")
    assert (denied.status, denied.actor_id) == ("denied", str(operator.pk))


def test_another_organizations_rows_are_not_in_it(
    front: Front, stranger: User, chain: AuditChain
) -> None:
    content = ask(front, bearer(stranger)).content

    assert TEXT.encode() not in content
    assert str(chain.pk).encode() not in content
    assert check(content).fault is None


def test_a_stalled_client_holds_up_nobody(
    application: exports.AuditExports,
    front: Front,
    admin: User,
    chain: AuditChain,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("audit.selectors.exports.PAGE", 3)
    monkeypatch.setattr(places, "PER_PERSON", 14)
    monkeypatch.setattr(places, "PER_ORGANIZATION", 14)
    headers = bearer(admin)

    with stalled(front, headers) as client:
        wait_until(lambda: AuditEvent.objects.filter(action="audit.export").exists())
        with ThreadPoolExecutor(13) as crowd:
            others = [crowd.submit(ask, front, headers) for _ in range(13)]
            for number in range(20):
                record(chain.pk, resource_id=f"later-{number}")
                seal()
                url = f"http://127.0.0.1:{front.port}/api/v1/auth/me"
                assert httpx.get(url, headers=headers, trust_env=False).status_code == 200
            answers = [other.result(60) for other in others]
        assert open_transactions() == 0
        assert len(application._running) == 1
        body = rest_of(client)

    for content in (body, *(answer.content for answer in answers)):
        report = check(content)
        found = list(filter(is_mine, resources(content)))
        assert (report.fault, found) == (None, [str(n) for n in range(ROWS)])
    assert check(body).rows == chain.position


def open_transactions() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND xact_start < clock_timestamp() - interval '1 s'"
        )
        return int(cursor.fetchone()[0])


def test_who_never_reads_is_cut_off_and_forgotten(
    front: Front, admin: User, chain: AuditChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.front.protocol.STEADY_SECONDS", 3.0)
    monkeypatch.setattr(places, "PER_PROCESS", 1)
    headers = bearer(admin)

    with stalled(front, headers):
        wait_until(lambda: AuditEvent.objects.filter(action="audit.export").exists())
        wait_until(lambda: ask(front, headers).status_code == 429)
        wait_until(lambda: ask(front, headers).status_code == 200)


@pytest.mark.parametrize("end", ["logout", "withdraw"])
def test_who_may_no_longer_have_it_gets_no_more(
    front: Front, admin: User, chain: AuditChain, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr("audit.selectors.exports.PAGE", 1)
    headers = bearer(admin)

    with stalled(front, headers) as client:
        wait_until(lambda: AuditEvent.objects.filter(action="audit.export").exists())
        if end == "logout":
            url = f"http://127.0.0.1:{front.port}/api/v1/auth/logout"
            assert httpx.post(url, headers=headers, trust_env=False).status_code in {200, 204}
        else:
            factories.withdraw("audit.export")
            callers.forget(organization_id=admin.organization_id)
        body = rest_of(client)

    last = json.loads(body.splitlines()[-1])
    code = "auth.token_refused" if end == "logout" else "permission.denied"
    assert last == {"type": "interrupted", "code": code}
    fault = check(body).fault
    assert fault is not None
    assert fault.kind == "truncated"


def test_a_database_that_is_away_for_a_moment_costs_a_pause(
    front: Front, admin: User, chain: AuditChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PAUSE_SECONDS", 0.01)
    failures = threading.Semaphore(3)
    read = Export.next

    def flaky(export: Export) -> bytes:
        if failures.acquire(blocking=False):
            raise OperationalError
        return read(export)

    monkeypatch.setattr(Export, "next", flaky)

    assert check(ask(front, bearer(admin)).content).fault is None


def test_a_database_that_stays_away_breaks_it_off(
    front: Front, admin: User, chain: AuditChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PAUSE_SECONDS", 0.01)

    def fail(_: Export) -> bytes:
        raise OperationalError

    monkeypatch.setattr(Export, "next", fail)

    answer = ask(front, bearer(admin))

    assert json.loads(answer.content) == {"type": "interrupted", "code": "service.unavailable"}


def test_a_hub_that_stops_says_so(
    application: exports.AuditExports, front: Front, admin: User, chain: AuditChain
) -> None:
    headers = bearer(admin)

    with stalled(front, headers) as client:
        wait_until(lambda: bool(application._running))
        (work,) = application._running
        work.get_loop().call_soon_threadsafe(application.drain)
        body = rest_of(client)

    assert json.loads(body.splitlines()[-1]) == {"type": "interrupted", "code": "hub.restarts"}
