"""The export of the audit chain: whole, to whom it belongs, and at nobody else's cost."""

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import OperationalError, connection

from accounts.models import Organization, User
from accounts.operations import callers
from audit import export_verifier
from audit.models import AuditChain, AuditEvent
from audit.selectors import checkpoints
from audit.selectors.exports import Export
from hub.front import exports
from kernel import clock
from tests.accounts import factories
from tests.audit.factories import record, seal
from tests.hub.front.peer import Front
from tests.hub.front.sse import wait_until

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/api/v1/audit-events/export"
ROWS = 40
TEXT = "x" * 200_000  # so that the buffers between hub and client do not hold an export


@pytest.fixture
def application(monkeypatch: pytest.MonkeyPatch) -> exports.AuditExports:
    """The exports of the front that is asked for after it."""
    found = exports.AuditExports()
    monkeypatch.setattr("hub.front.app.AuditExports", lambda: found)
    return found


@pytest.fixture
def chain(organization: Organization) -> AuditChain:
    """A chain of some megabytes."""
    for number in range(ROWS):
        record(organization.pk, resource_id=number, details={"text": TEXT})
    seal()
    return AuditChain.objects.get(pk=organization.pk)


def bearer(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {factories.make_token(user)}"}


def ask(
    front: Front, headers: dict[str, str], *, method: str = "GET", slash: str = "", **query: str
) -> httpx.Response:
    url = f"http://127.0.0.1:{front.port}{PATH}{slash}"
    return httpx.request(method, url, headers=headers, params=query, timeout=60, trust_env=False)


def check(content: bytes) -> export_verifier.Report:
    keys = [checkpoints.current_key().raw]
    return export_verifier.verify(content.splitlines(keepends=True), keys=keys)


def resources(content: bytes) -> list[str]:
    documents = [json.loads(line) for line in content.splitlines()]
    return [d["event"]["resource_id"] for d in documents if d["type"] == "event"]


def is_mine(number: str) -> bool:
    return number.isdecimal()


@contextmanager
def stalled(front: Front, headers: dict[str, str]) -> Iterator[socket.socket]:
    """A client that asked, and reads nothing."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(30)
        client.connect(("127.0.0.1", front.port))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n{lines}Connection: close\r\n\r\n"
        client.sendall(request.encode())
        yield client


def rest_of(client: socket.socket) -> bytes:
    pieces = []
    while piece := client.recv(65536):
        pieces.append(piece)
    head, _, body = b"".join(pieces).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    return b"".join(chunks(body))


def chunks(body: bytes) -> Iterator[bytes]:
    """The pieces of a body in chunked coding; it must have its end."""
    while body != b"0\r\n\r\n":
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        yield rest[:length]
        body = rest[length:].removeprefix(b"\r\n")


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
    monkeypatch.setattr("hub.front.protocol.READ_SECONDS", 0.5)
    monkeypatch.setattr(exports, "MOST", 1)
    headers = bearer(admin)

    with stalled(front, headers):
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
