"""Which tasks become dead letters, and what is kept of them."""

from datetime import timedelta

import pytest

from accounts.models import Organization
from agents.choices import ExecutionSource
from dead_letters.models import DeadLetter
from dead_letters.operations import arrivals
from kernel import clock
from tasks.choices import TaskStatus
from tasks.models import Task
from tasks.operations import redrives, sweeps
from tests.agents.factories import PERSON, make_agent
from tests.dead_letters.factories import fail, make_dead
from tests.tasks.factories import change, claim_one, make_task

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_task_that_failed_for_good_is_one(organization: Organization) -> None:
    now = clock.now()

    task = make_dead(organization, now=now)

    letter = DeadLetter.objects.get()
    assert (letter.task_id, letter.status, letter.failures) == (task.pk, "open", 1)
    assert (letter.error_type, letter.last_error) == (
        "provider_unavailable",
        "The provider is away.",
    )
    assert (letter.first_failed_at, letter.last_failed_at) == (now, now)


def test_one_that_has_retries_left_is_none(organization: Organization) -> None:
    fail(make_task(organization, agent=make_agent(organization), max_retries=1))

    assert not DeadLetter.objects.exists()


def test_one_that_missed_its_deadline_is_one(organization: Organization) -> None:
    now = clock.now()
    task = make_task(organization, deadline=now + timedelta(seconds=1))

    sweeps.sweep_tasks(now=now + timedelta(seconds=2))

    assert DeadLetter.objects.get().task_id == task.pk


def test_one_that_a_person_let_fail_is_none(organization: Organization) -> None:
    task = make_task(organization, agent=make_agent(organization))
    claim_one(task)

    change(task, status=TaskStatus.FAILED)

    assert not DeadLetter.objects.exists()


def test_a_direct_run_is_none(organization: Organization) -> None:
    task = make_task(organization, agent=make_agent(organization), max_retries=0)
    Task.objects.update(source=ExecutionSource.REST)

    fail(task)

    assert not DeadLetter.objects.exists()


def test_the_history_outlives_a_redrive(organization: Organization) -> None:
    began = clock.now()
    task = make_dead(organization, now=began)
    later = began + timedelta(hours=1)
    redrives.redrive_task(organization_id=organization.pk, task_id=task.pk, actor=PERSON, now=later)
    redriven = DeadLetter.objects.get()

    Task.objects.update(max_retries=0)
    fail(task, message="Away again.", now=later)

    letter = DeadLetter.objects.get()
    assert (redriven.status, redriven.redriven_by, redriven.redriven_at) == (
        "redriven",
        str(PERSON),
        later,
    )
    assert (letter.status, letter.failures, letter.redrive_count) == ("open", 2, 1)
    assert (letter.first_failed_at, letter.last_failed_at) == (began, later)
    assert letter.last_error == "Away again."


def test_a_retry_of_the_task_itself_takes_it_out_too(organization: Organization) -> None:
    task = make_dead(organization)
    Task.objects.update(max_retries=1)

    change(task, status=TaskStatus.PENDING)

    assert DeadLetter.objects.get().status == "redriven"


@pytest.mark.parametrize(
    ("one", "other", "are_alike"),
    [
        ("No answer in 30 s.", "No answer in 45 s.", True),
        ("No tool called 'a b'.", "No tool called 'c'.", True),
        (
            "Run 0191f0c4-77aa-7def-8a3b-0123456789ab broke.",
            "Run 0191f0c4-77aa-7def-8a3b-ba9876543210 broke.",
            True,
        ),
        ("The provider is away.", "The provider refused the key.", False),
    ],
)
def test_failures_are_grouped_by_what_does_not_vary(
    one: str, other: str, *, are_alike: bool
) -> None:
    assert (arrivals.group_of("kind", one) == arrivals.group_of("kind", other)) is are_alike


def test_another_kind_is_another_group() -> None:
    assert arrivals.group_of("timeout", "Late.") != arrivals.group_of("internal", "Late.")
