"""Who takes an export and does not read it: no place for ever, and none of anybody else's."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from accounts.choices import UserRole
from accounts.models import Organization, User
from accounts.operations import callers, sessions
from audit.models import AuditChain
from hub.front import exports, places, protocol
from kernel import clock
from tests.accounts import factories
from tests.audit.factories import record, seal
from tests.hub.front.peer import Front
from tests.hub.front.sse import wait_until
from tests.hub.front.taking import ROWS, TEXT, ask, bearer, check, chunks, stalled
from tests.hub.front.test_keys_and_rules import shut_out

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass
class People:
    """Administrators: three of one organization, one of another; both chains are long."""

    first: User
    second: User
    third: User
    stranger: User


@pytest.fixture
def people(organization: Organization, other_organization: Organization) -> People:
    """Everybody, and what they may export."""
    for owner in (organization, other_organization):
        for number in range(ROWS):
            record(owner.pk, resource_id=number, details={"text": TEXT})
    seal()
    owners = [organization] * 3 + [other_organization]
    return People(*(factories.make_user(owner, role=UserRole.ADMIN) for owner in owners))


@pytest.fixture
def hold(application: exports.AuditExports, front: Front) -> Iterator[Callable[[User], None]]:
    """`hold(user)` begins an export and reads nothing of it."""
    with ExitStack() as clients:

        def begin(user: User) -> None:
            before = len(application._places)
            clients.enter_context(stalled(front, bearer(user)))
            wait_until(lambda: len(application._places) == before + 1)

        yield begin


def refusal(front: Front, user: User) -> tuple[int, str, int, str]:
    answer = ask(front, bearer(user))
    found = answer.json()
    assert found["detail"].startswith(f"{found['limit']} exports ")
    assert answer.headers["retry-after"] == "60"
    return answer.status_code, found["code"], found["limit"], found["detail"].split(" are ")[0]


def test_each_person_and_each_organization_has_a_few(
    application: exports.AuditExports,
    front: Front,
    hold: Callable[[User], None],
    people: People,
) -> None:
    too_many = (429, "audit.too_many_exports")
    for _ in range(2):
        hold(people.first)
    of_a_person = refusal(front, people.first)
    for _ in range(2):
        hold(people.second)
    of_an_organization = refusal(front, people.third)

    assert of_a_person == (*too_many, 2, "2 exports of one person")
    assert of_an_organization == (*too_many, 4, "4 exports of one organization")
    assert ask(front, bearer(people.stranger)).status_code == 200
    assert len(application._places) == 4


def test_all_together_have_what_the_process_bears(
    hold: Callable[[User], None],
    front: Front,
    people: People,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places, "PER_PROCESS", 3)
    for user in (people.first, people.first, people.stranger):
        hold(user)

    found = refusal(front, people.stranger)

    assert found == (429, "audit.too_many_exports", 3, "3 exports in one web process")


@pytest.mark.parametrize("end", ["logout", "rule", "withdraw"])
def test_who_may_no_longer_have_it_holds_no_place(
    application: exports.AuditExports,
    hold: Callable[[User], None],
    people: People,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
) -> None:
    user = people.first
    monkeypatch.setattr(exports, "RECHECK_SECONDS", 0.1)
    monkeypatch.setattr(exports, "CLOSE_SECONDS", 0.1)
    hold(user)
    if end == "logout":
        sessions.revoke_all(user=user, actor=factories.make_actor(user), now=clock.now())
    elif end == "rule":
        shut_out(user, "127.0.0.0/8")
    else:
        factories.withdraw("audit.export")
        callers.forget(organization_id=user.organization_id)

    wait_until(lambda: len(application._places) == 0)


def test_many_organizations_that_do_not_read_hold_up_nobody_for_ever(
    application: exports.AuditExports,
    front: Front,
    hold: Callable[[User], None],
    people: People,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "STEADY_SECONDS", 3.0)
    monkeypatch.setattr(places, "PER_PROCESS", 4)
    for user in (people.first, people.first, people.stranger, people.stranger):
        hold(user)

    wait_until(lambda: len(application._places) == 0)

    assert ask(front, bearer(people.second)).status_code == 200


def test_a_slow_reader_who_goes_on_is_not_cut_off(
    application: exports.AuditExports,
    front: Front,
    admin: User,
    chain: AuditChain,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "READ_SECONDS", 0.5)
    monkeypatch.setattr(protocol, "STEADY_SECONDS", 2.0)
    pieces = []

    with stalled(front, bearer(admin)) as client:
        while piece := _some(client):
            pieces.append(piece)
            time.sleep(0.1)

    body = b"".join(pieces).partition(b"\r\n\r\n")[2]
    report = check(b"".join(chunks(body)))
    assert (report.fault, report.rows) == (None, chain.position)
    assert len(application._places) == 0


def _some(client: socket.socket) -> bytes:
    """About a hundredth of the export."""
    found = b""
    while len(found) < 80_000 and (piece := client.recv(80_000 - len(found))):
        found += piece
    return found
