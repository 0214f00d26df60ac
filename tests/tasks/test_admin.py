"""The console's page of a task: its timeline, and the part that follows it."""

from dataclasses import replace

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from agents.models import AgentExecution
from agents.runtime import failures
from approvals.models import Approval
from breakers.models import CircuitBreaker
from kernel import clock
from tasks.models import Task
from tasks.operations import endings
from tests.agents.factories import failed, make_agent
from tests.approvals.factories import ask
from tests.breakers.factories import make_breaker
from tests.hub.console_rows import address, finish_task
from tests.tasks.factories import claim_one, make_task


def page(task_id: object) -> str:
    return reverse("admin:tasks_task_change", args=[task_id])


def live(task_id: object) -> str:
    return reverse("admin:tasks_task_live", args=[task_id])


def test_a_task_shows_what_happened(client: Client, viewer: User) -> None:
    task = finish_task(viewer.organization, text="First line\nSecond line").task
    client.force_login(viewer)

    shown = client.get(page(task.pk)).content.decode()

    assert '<div class="hub-text" id="result">First line\nSecond line</div>' in shown
    assert "Demo provider (offline, not a language model)" in shown
    assert "Tool call: calculator" in shown
    assert "&quot;said&quot;: &quot;First line\nSecond line&quot;" in shown
    assert "1000000 + 100000 tokens" in shown
    execution = AgentExecution.objects.get()
    assert reverse("admin:agents_agentexecution_change", args=[execution.pk]) in shown
    assert reverse("admin:agents_agent_change", args=[task.agent_id]) in shown
    assert f"/api/v1/tasks/{task.pk}/" in shown


def test_the_execution_leads_back_to_its_task(client: Client, viewer: User) -> None:
    task = finish_task(viewer.organization, text="Forty-two.").task
    client.force_login(viewer)

    address = reverse("admin:agents_agentexecution_change", args=[AgentExecution.objects.get().pk])
    shown = client.get(address).content.decode()

    assert page(task.pk) in shown
    assert "Tool call: calculator" in shown
    assert "Forty-two." in shown


def test_an_open_task_is_followed_and_an_ended_one_is_not(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    waiting, ended = make_task(viewer.organization), finish_task(viewer.organization).task

    for path in (page, live):
        assert "data-open" in client.get(path(waiting.pk)).content.decode()
        assert "data-open" not in client.get(path(ended.pk)).content.decode()
    assert f'data-live="{live(waiting.pk)}"' in client.get(page(waiting.pk)).content.decode()


def test_the_followed_part_is_a_fragment(client: Client, viewer: User) -> None:
    client.force_login(viewer)

    shown = client.get(live(finish_task(viewer.organization).task.pk)).content.decode()

    assert "<html" not in shown
    assert 'data-part="attempt-1"' in shown


def test_a_stranger_follows_nothing(client: Client, viewer: User, stranger: User) -> None:
    task = make_task(viewer.organization)
    assert client.get(live(task.pk)).status_code == 302

    client.force_login(stranger)
    assert client.get(live(task.pk)).status_code == 404
    assert client.get(live("not-an-id")).status_code == 404


@pytest.mark.parametrize(
    ("is_assigned", "reason"),
    [(True, "is offline. Start it."), (False, "There is no agent. Create one and start it.")],
)
def test_a_waiting_task_says_why(
    client: Client, viewer: User, *, is_assigned: bool, reason: str
) -> None:
    client.force_login(viewer)
    agent = make_agent(viewer.organization, started=False) if is_assigned else None

    shown = client.get(page(make_task(viewer.organization, agent=agent).pk)).content.decode()

    assert "Why it waits" in shown
    assert reason in shown
    assert ("Open the agent" in shown) is is_assigned


@pytest.mark.parametrize("leads", [True, False])
def test_what_a_breaker_holds_leads_there_whoever_may_follow(
    client: Client, admin: User, viewer: User, *, leads: bool
) -> None:
    breaker = make_breaker(admin.organization, name="provider:openai")
    claim = claim_one(make_task(admin.organization, agent=make_agent(admin.organization)))
    refusal = failures.breaker_open("The breaker provider:openai is open.", seconds=600)
    task = endings.settle_attempt(
        claim=claim, result=replace(failed(), error=refusal), now=clock.now()
    )
    client.force_login(admin if leads else viewer)

    shown = client.get(page(task.pk)).content.decode()
    run = client.get(address(AgentExecution, claim.execution.pk)).content.decode()

    assert "The task waits for a circuit breaker to close." in shown
    assert "hub-bad" not in shown
    assert (address(CircuitBreaker, breaker.pk) in shown) is leads
    assert "Held by breaker" in run
    assert "Why it stopped" in run


def test_a_task_in_review_leads_to_its_approval(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    task = make_task(viewer.organization, agent=make_agent(viewer.organization))
    approval = ask(viewer.organization, task_id=task.pk)
    error = f"A person has to approve the call of deploy (approval {approval.pk})."
    values = {"status": "review", "error_kind": "approval_pending", "error": error}
    Task.objects.filter(pk=task.pk).update(**values)

    shown = client.get(page(task.pk)).content.decode()

    assert "Somebody has to approve or reject execute_tool:deploy." in shown
    assert f'href="{address(Approval, approval.pk)}">Open the approval</a>' in shown
    assert error not in shown


def test_tasks_of_one_agent_are_listed(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    wanted = finish_task(viewer.organization)
    make_task(viewer.organization)

    found = client.get(
        reverse("admin:tasks_task_changelist"), {"agent__id__exact": str(wanted.agent.pk)}
    )

    assert [task.pk for task in found.context["cl"].result_list] == [wanted.task.pk]


@pytest.mark.parametrize("query", ["HELLO", " hello "])
def test_tasks_are_found_by_title_and_id(client: Client, viewer: User, query: str) -> None:
    client.force_login(viewer)
    task = make_task(viewer.organization)
    make_task(viewer.organization, title="Another")

    for asked in (query, str(task.pk)):
        found = client.get(reverse("admin:tasks_task_changelist"), {"q": asked})
        assert [task.pk for task in found.context["cl"].result_list] == [task.pk]
