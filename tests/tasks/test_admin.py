"""The console's page of a task: its timeline, and the part that follows it."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from agents.models import AgentExecution
from tests.agents.factories import make_agent
from tests.hub.console_rows import finish_task
from tests.tasks.factories import make_task


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

    for address in (page, live):
        assert "data-open" in client.get(address(waiting.pk)).content.decode()
        assert "data-open" not in client.get(address(ended.pk)).content.decode()
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
    [(True, "its agent is stopped"), (False, "waits for an agent that is started")],
)
def test_a_waiting_task_says_why(
    client: Client, viewer: User, *, is_assigned: bool, reason: str
) -> None:
    client.force_login(viewer)
    agent = make_agent(viewer.organization, started=False) if is_assigned else None

    shown = client.get(page(make_task(viewer.organization, agent=agent).pk)).content.decode()

    assert reason in shown


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
