"""The console's button that runs an agent."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from agents.models import Agent
from tasks.models import Task
from tests.agents.factories import make_agent
from tests.hub.console_rows import address

SUBMITTED = {"_form_submitted": "on"}


@pytest.fixture
def agent(operator: User) -> Agent:
    """A started agent."""
    return make_agent(operator.organization, name="Reckoner")


def press(client: Client, agent: Agent, **values: str) -> Any:
    return client.post(address(Agent, agent.pk, "run_agent"), {**SUBMITTED, **values})


def test_the_button_leads_to_the_task_whose_page_shows_the_answer(
    client: Client, operator: User, agent: Agent
) -> None:
    client.force_login(operator)

    answer = press(client, agent, prompt="Say hello.")

    task = Task.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == address(Task, task.pk)
    assert (task.prompt, task.source, task.user_id) == ("Say hello.", "rest", operator.pk)
    assert "Say hello." in client.get(answer["Location"]).content.decode()


def test_a_refusal_stays_in_the_dialog(client: Client, operator: User, agent: Agent) -> None:
    client.force_login(operator)
    Agent.objects.update(status="paused")

    answer = press(client, agent, prompt="Say hello.")

    assert answer.status_code == 200
    assert "The agent is not started." in answer.content.decode()
    assert not Task.objects.exists()


def test_who_may_not_run_agents_has_no_button(client: Client, viewer: User, agent: Agent) -> None:
    client.force_login(viewer)

    answer = press(client, agent, prompt="Say hello.")

    assert answer.status_code == 403
    assert "Run agent" not in client.get(address(Agent, agent.pk)).content.decode()
    assert not Task.objects.exists()
