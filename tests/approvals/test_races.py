"""Many at one approval at the same moment."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from accounts.models import Organization
from approvals.models import Approval, Vote
from approvals.operations import decisions, requests, sweeps, uses
from audit.models import AuditEvent
from kernel import clock
from tests.approvals.factories import approve, ask, make_people, make_rule, reject
from tests.threads import race

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What whoever waits was told."""
    told: list[str] = []

    def hear(approval: Approval, now: datetime) -> None:
        told.append(str(approval.status))

    monkeypatch.setattr(decisions, "DECIDED", [hear])
    return told


def kinds(outcomes: list[Any]) -> Counter[str]:
    return Counter(
        str(found.status) if isinstance(found, Approval) else type(found).__name__
        for found in outcomes
    )


def test_two_last_votes_at_once_decide_once(organization: Organization, heard: list[str]) -> None:
    make_rule(organization, min_approvals=2)
    approval = ask(organization)
    first, *others = make_people(organization, 4)
    approve(approval, first)

    outcomes = race(*[lambda user=user: approve(approval, user) for user in others])

    assert kinds(outcomes) == {"approved": 1, "AlreadyDecided": 2}
    assert (heard, Vote.objects.count()) == (["approved"], 2)


def test_votes_at_once_are_all_counted(organization: Organization, heard: list[str]) -> None:
    make_rule(organization, min_approvals=4)
    approval = ask(organization)
    people = make_people(organization, 4)

    outcomes = race(*[lambda user=user: approve(approval, user) for user in people])

    assert kinds(outcomes) == {"pending": 3, "approved": 1}
    assert heard == ["approved"]


def test_one_person_at_two_windows_has_one_vote(organization: Organization) -> None:
    make_rule(organization, min_approvals=2)
    approval = ask(organization)
    (user,) = make_people(organization, 1)

    outcomes = race(*[lambda: approve(approval, user)] * 4)

    assert kinds(outcomes) == {"pending": 1, "AlreadyVoted": 3}


def test_approval_and_rejection_at_once_end_in_one(
    organization: Organization, heard: list[str]
) -> None:
    approval = ask(organization)
    first, second = make_people(organization, 2)

    outcomes = race(lambda: approve(approval, first), lambda: reject(approval, second))

    approval.refresh_from_db()
    assert kinds(outcomes) == {approval.status: 1, "AlreadyDecided": 1}
    assert heard == [approval.status]


def test_a_decision_and_the_end_of_its_time_at_once_end_in_one(
    organization: Organization, heard: list[str]
) -> None:
    approval = ask(organization)
    (user,) = make_people(organization, 1)
    early = clock.now()

    outcomes = race(
        lambda: approve(approval, user, now=early),
        *[lambda: sweeps.expire_due(now=early + DAY + DAY)] * 2,
    )

    approval.refresh_from_db()
    expired = sum(outcome == 1 for outcome in outcomes)
    assert heard == [approval.status]
    assert (approval.status, expired) in {("approved", 0), ("expired", 1)}


def test_a_decision_and_the_end_of_its_task_at_once_end_in_one(
    organization: Organization, heard: list[str]
) -> None:
    approval = ask(organization)
    (user,) = make_people(organization, 1)
    assert approval.task_id is not None
    task_id = approval.task_id

    decided, cancelled = race(
        lambda: approve(approval, user),
        lambda: requests.cancel_of_task(
            organization_id=organization.pk, task_id=task_id, now=clock.now()
        ),
    )

    approval.refresh_from_db()
    found = (approval.status, type(decided).__name__, cancelled, heard)
    assert found in (
        ("approved", "Approval", 0, ["approved"]),
        ("cancelled", "AlreadyDecided", 1, []),
    )


def test_it_is_used_once(organization: Organization) -> None:
    approval = ask(organization)
    (user,) = make_people(organization, 1)
    approve(approval, user)

    outcomes = race(
        *[
            lambda: uses.consume(
                organization_id=organization.pk,
                approval_id=approval.pk,
                binding=approval.binding,
                now=clock.now(),
            )
        ]
        * 8
    )

    assert Counter(outcomes) == {True: 1, False: 7}
    assert AuditEvent.objects.filter(action="approval.use").count() == 1


def test_the_same_call_asks_once_from_two_workers(organization: Organization) -> None:
    task_id = uuid4()

    outcomes = race(*[lambda: ask(organization, task_id=task_id)] * 6)

    assert len({found.pk for found in outcomes}) == 1
    assert AuditEvent.objects.filter(action="approval.request").count() == 1
