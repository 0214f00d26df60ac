"""What the front page says waits for its reader, and how many things are not as they should be."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Organization, Role, User
from approvals.models import Approval
from breakers.operations import switches
from dead_letters.operations import redrives
from hub.console import attention
from kernel import clock
from kernel.actors import SYSTEM
from tasks.models import Task
from tests.accounts.factories import make_user
from tests.approvals.factories import approve, ask, give
from tests.breakers.factories import make_breaker, switch
from tests.cost import factories as cost
from tests.dead_letters.factories import make_dead
from tests.hub.console_rows import address
from tests.tasks.factories import make_task

pytestmark = pytest.mark.django_db(transaction=True)
INDEX = "admin:index"


@pytest.fixture
def approver(organization: Organization) -> User:
    """Somebody who may decide, and nothing else."""
    person = make_user(organization)
    person.assignments.all().delete()
    give(person, Role.objects.get(organization=organization, name="approver"))
    return person


def figures(user: User) -> dict[str, int]:
    found = attention.get_attention(user=user, now=clock.now())
    return {figure.label: figure.count for figure in found.figures}


def spend(organization: Organization, calls: int) -> None:
    """A dollar for a task, and so many of its calls, of 30 cents each."""
    now, task = clock.now(), make_task(organization)
    cost.make_budget(organization, scope="task", subject_id=task.pk, period="total", now=now)
    for _ in range(calls):
        usage = cost.Usage(input_tokens=0, output_tokens=30_000)
        cost.record(organization, task_id=task.pk, now=now, usage=usage)


def test_figures_count_what_is_not_as_it_should_be(organization: Organization, admin: User) -> None:
    ask(organization)
    approve(ask(organization, arguments={"to": "prod"}), admin)
    for name in ("provider:openai", "provider:google"):
        make_breaker(organization, name=name)
    switch(organization, switches.force, name="provider:openai", state="open")
    spend(organization, 1)
    spend(organization, 3)
    make_dead(organization)
    gone = make_dead(organization)
    redrives.remove_letter(
        organization_id=organization.pk, task_id=gone.pk, actor=SYSTEM, now=clock.now()
    )

    assert figures(admin) == {
        "Open approvals": 1,
        "Open breakers": 1,
        "Budgets past a threshold": 1,
        "Dead letters": 1,
    }


def test_an_approvers_overview_shows_what_waits_for_their_vote(
    client: Client, organization: Organization, approver: User
) -> None:
    waiting, own = ask(organization), ask(organization, requester=approver, arguments={"a": "b"})
    client.force_login(approver)

    page = client.get(reverse(INDEX)).content.decode()

    assert address(Approval, waiting.pk) in page
    assert address(Approval, own.pk) not in page
    assert figures(approver) == {"Open approvals": 2}


def test_approvals_come_before_what_failed_and_direct_runs_do_not_come(
    client: Client, organization: Organization, admin: User
) -> None:
    direct, removed = (make_dead(organization, title=title) for title in ("Asked", "Removed"))
    Task.objects.filter(pk=direct.pk).update(source="rest")
    for task in (direct, removed):
        redrives.remove_letter(
            organization_id=organization.pk, task_id=task.pk, actor=SYSTEM, now=clock.now()
        )
    make_dead(organization, title="Dead")
    held = make_task(organization, title="Held")
    Task.objects.filter(pk=held.pk).update(status="review", error_kind="approval_pending")
    approval = ask(organization, task_id=held.pk)
    client.force_login(admin)

    page = client.get(reverse(INDEX)).content.decode()
    card = page.partition('id="needs-person"')[2].partition("</section>")[0]

    assert card.index(address(Approval, approval.pk)) < card.index(">Dead<")
    for absent in ("Asked", "Removed", "Held"):
        assert f">{absent}<" not in card


def test_it_costs_at_most_eight_queries_whatever_is_there(
    organization: Organization, admin: User
) -> None:
    for number in range(3):
        ask(organization, arguments={"n": number}, now=clock.now() - timedelta(minutes=number))
        make_breaker(organization, name=f"host:h{number}.example.com")
        make_dead(organization)
    spend(organization, 1)

    with CaptureQueriesContext(connection) as seen:
        attention.get_attention(user=admin, now=clock.now())

    assert len(seen) <= 8
