"""Votes on the calls of a task, beside whatever else happens to task and approval."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from accounts.models import Organization, User
from agents.runtime import failures
from agents.runtime.spec import RunResult, Usage
from approvals.errors import AlreadyDecided, ApprovalExpired
from approvals.models import Approval, Vote
from approvals.operations import sweeps
from audit.models import AuditEvent
from kernel import clock
from tasks.models import Task
from tasks.operations import endings, redrives, requests
from tests.agents.factories import make_agent
from tests.approvals.factories import approve, ask, make_people, reject
from tests.tasks.factories import act, claim_one, make_task
from tests.threads import behind

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)


@pytest.fixture
def people(organization: Organization) -> list[User]:
    return make_people(organization, 2)


@pytest.fixture
def approval(organization: Organization) -> Approval:
    """What the run of a task waits for."""
    claim = claim_one(make_task(organization, agent=make_agent(organization)))
    asked = ask(organization, task_id=claim.task_id)
    failure = failures.approval_pending("deploy", asked.pk)
    result = RunResult(
        status="error", output="", error=failure, usage=Usage(), tool_calls=0, duration_ms=7
    )
    endings.settle_attempt(claim=claim, result=result, now=clock.now())
    return asked


def stands(approval: Approval) -> tuple[str, str]:
    """The states of approval and task."""
    approval.refresh_from_db()
    return approval.status, Task.objects.get().status


def ended() -> list[str]:
    """How the audit trail says that the approval ended."""
    rows = AuditEvent.objects.filter(action__startswith="approval.").order_by("pk")
    return [action.removeprefix("approval.") for action in rows.values_list("action", flat=True)][
        1:
    ]


def end(how: str) -> Callable[[], Any]:
    """Somebody ends the task."""
    if how == "cancelled":
        return lambda: act(requests.cancel_task, Task.objects.get())
    return lambda: act(redrives.give_up_task, Task.objects.get(), reason="Too late.")


@pytest.mark.parametrize("how", ["cancelled", "failed"])
def test_a_vote_behind_the_end_of_the_task_finds_nothing_to_decide(
    approval: Approval, people: list[User], how: str
) -> None:
    _, late = behind(end(how), partial(approve, approval, people[0]))

    assert isinstance(late, AlreadyDecided)
    assert stands(approval) == ("cancelled", how)
    assert (ended(), Vote.objects.count()) == (["cancel"], 0)


def test_who_ends_a_task_and_who_votes_do_not_wait_for_each_other(
    approval: Approval, people: list[User]
) -> None:
    """Both lock the task before what it waits for."""
    assert approval.task_id is not None
    lock = partial(
        requests.lock_task, organization_id=approval.organization_id, task_id=approval.task_id
    )

    locked, late = behind(lock, partial(approve, approval, people[0]), then=end("cancelled"))

    assert [type(found) for found in (locked, late)] == [Task, AlreadyDecided]
    assert stands(approval) == ("cancelled", "cancelled")


def test_the_end_of_a_task_behind_a_vote_ends_what_would_go_on(
    approval: Approval, people: list[User]
) -> None:
    _, cancelled = behind(partial(approve, approval, people[0]), end("cancelled"))

    assert cancelled.status == "cancelled"
    assert stands(approval) == ("approved", "cancelled")
    assert ended() == ["approve"]


@pytest.mark.parametrize(
    ("first", "second"), [(approve, reject), (reject, approve), (approve, approve)]
)
def test_a_vote_behind_the_one_that_decides_decides_nothing(
    approval: Approval, people: list[User], first: Callable[..., Any], second: Callable[..., Any]
) -> None:
    decided, late = behind(
        partial(first, approval, people[0]), partial(second, approval, people[1])
    )

    assert isinstance(late, AlreadyDecided)
    assert stands(approval) == (decided.status, "assigned")
    assert (ended(), Vote.objects.get().user_id) == ([first.__name__], people[0].pk)


def test_a_vote_that_comes_in_time_but_behind_the_expiry_is_too_late(
    approval: Approval, people: list[User]
) -> None:
    """Its sender saw the clock before the row was theirs."""
    early = clock.now()

    expired, late = behind(
        partial(sweeps.expire_due, now=early + DAY + DAY),
        partial(approve, approval, people[0], now=early),
    )

    assert expired == 1
    assert isinstance(late, ApprovalExpired)
    assert stands(approval) == ("expired", "assigned")
    assert ended() == ["expire"]


def test_an_expiry_behind_the_vote_expires_nothing(approval: Approval, people: list[User]) -> None:
    early = clock.now()

    _, expired = behind(
        partial(approve, approval, people[0], now=early),
        partial(sweeps.expire_due, now=early + DAY + DAY),
    )

    assert expired == 0
    assert stands(approval) == ("approved", "assigned")
    assert ended() == ["approve"]
