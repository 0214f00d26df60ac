"""A dead letter that one person removes and others put back to work."""

from collections import Counter
from functools import partial
from typing import Any

import pytest

from accounts.models import Organization
from audit.models import AuditEvent
from dead_letters.errors import AlreadyRedriven, LetterNotFound
from dead_letters.models import DeadLetter
from dead_letters.operations import redrives
from dead_letters.operations.redrives import Redriven
from kernel import clock
from tasks.models import Task
from tests.agents.factories import PERSON, make_agent
from tests.dead_letters.factories import make_dead
from tests.threads import behind, race

pytestmark = pytest.mark.django_db(transaction=True)


def act(operation: Any, task: Task) -> Any:
    """What one person does to one letter."""
    return operation(
        organization_id=task.organization_id, task_id=task.pk, actor=PERSON, now=clock.now()
    )


def redrive_all(organization: Organization) -> Redriven:
    return redrives.redrive_letters(organization_id=organization.pk, actor=PERSON, now=clock.now())


def stands(task: Task) -> tuple[str, str, int]:
    """The states of task and letter, and how often it was redriven."""
    letter = DeadLetter.objects.get(task=task)
    task.refresh_from_db()
    return task.status, letter.status, letter.redrive_count


def done() -> Counter[str]:
    """What the audit trail says of letters."""
    rows = AuditEvent.objects.filter(action__startswith="dead_letter.")
    return Counter(rows.values_list("action", flat=True))


def test_what_is_removed_first_is_not_redriven(organization: Organization) -> None:
    task = make_dead(organization)

    _, late = behind(
        partial(act, redrives.remove_letter, task), partial(act, redrives.redrive_letter, task)
    )

    assert isinstance(late, LetterNotFound)
    assert stands(task) == ("failed", "removed", 0)
    assert done() == {"dead_letter.remove": 1}
    # Nothing of the redrive that was refused is left.
    assert not AuditEvent.objects.filter(details__redriven=True).exists()


def test_what_is_redriven_first_is_not_removed(organization: Organization) -> None:
    task = make_dead(organization)

    _, late = behind(
        partial(act, redrives.redrive_letter, task), partial(act, redrives.remove_letter, task)
    )

    assert isinstance(late, LetterNotFound)
    assert stands(task) == ("assigned", "redriven", 1)
    assert done() == {"dead_letter.redrive": 1}


@pytest.mark.parametrize(
    ("first", "left"),
    [
        (redrives.remove_letter, ("failed", "removed", 0)),
        (redrives.redrive_letter, ("assigned", "redriven", 1)),
    ],
    ids=["removed", "redriven"],
)
def test_who_redrives_all_passes_over_what_somebody_takes_up_just_now(
    organization: Organization, first: Any, left: tuple[str, str, int]
) -> None:
    taken, other = (make_dead(organization, agent=make_agent(organization)) for _ in range(2))

    _, redriven = behind(partial(act, first, taken), partial(redrive_all, organization))

    assert redriven == Redriven(1, has_more=False)
    assert stands(taken) == left
    assert stands(other) == ("assigned", "redriven", 1)


def test_of_all_who_take_up_the_same_letters_each_goes_one_way(organization: Organization) -> None:
    agents = [make_agent(organization) for _ in range(2)]
    tasks = [make_dead(organization, agent=agents[number % 2]) for number in range(6)]

    *single, first, second = race(
        *[partial(act, redrives.redrive_letter, task) for task in tasks[:3]],
        *[partial(act, redrives.remove_letter, task) for task in tasks[1:5]],
        partial(redrive_all, organization),
        partial(redrive_all, organization),
    )

    assert {type(found) for found in single} <= {
        DeadLetter,
        type(None),
        LetterNotFound,
        AlreadyRedriven,
    }
    states = Counter(stands(task) for task in tasks)
    assert set(states) <= {("failed", "removed", 0), ("assigned", "redriven", 1)}
    redriven = sum(isinstance(found, DeadLetter) for found in single) + first.count + second.count
    removed = sum(found is None for found in single)
    assert (redriven, removed) == (
        states["assigned", "redriven", 1],
        states["failed", "removed", 0],
    )
    assert done() == Counter({"dead_letter.redrive": redriven, "dead_letter.remove": removed})
