"""Several people at one dead letter."""

from collections import Counter

import pytest

from accounts.models import Organization
from audit.models import AuditEvent
from dead_letters.models import DeadLetter
from dead_letters.operations import redrives
from kernel import clock
from tasks.models import Task
from tests.agents.factories import PERSON, make_agent
from tests.dead_letters.factories import make_dead
from tests.threads import race

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_many_who_redrive_one_letter_one_does(organization: Organization) -> None:
    task = make_dead(organization)

    outcomes = Counter(
        type(found).__name__
        for found in race(
            *[
                lambda: redrives.redrive_letter(
                    organization_id=organization.pk,
                    task_id=task.pk,
                    actor=PERSON,
                    now=clock.now(),
                )
            ]
            * 6
        )
    )

    assert outcomes == {"DeadLetter": 1, "AlreadyRedriven": 5}
    assert DeadLetter.objects.get().redrive_count == 1
    assert AuditEvent.objects.filter(action="dead_letter.redrive").count() == 1


def test_two_who_redrive_all_share_them(organization: Organization) -> None:
    agent = make_agent(organization)
    for _ in range(6):
        make_dead(organization, agent=agent)

    done = race(
        *[
            lambda: redrives.redrive_letters(
                organization_id=organization.pk, actor=PERSON, now=clock.now()
            )
        ]
        * 2
    )

    assert sum(each.count for each in done) == 6
    assert Task.objects.filter(status="assigned").count() == 6
    assert {letter.redrive_count for letter in DeadLetter.objects.all()} == {1}
