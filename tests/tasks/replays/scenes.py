"""Runs that are over, and what is asked for to play them again."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from accounts.models import User
from agents.models import Agent, AgentExecution
from agents.operations import registry
from kernel import clock
from tasks.models import Task
from tests.agents.factories import PERSON
from tests.clients import ApiClient
from tests.peers.script import Answer, Step
from tests.tasks.factories import claim_one
from tests.tasks.scripted import finish


def respond(body: Mapping[str, Any]) -> Step:
    """Look and send a note, then answer."""
    done = any(message["role"] == "tool" for message in body["messages"])
    calls: tuple[Any, ...] = (("look", {}), ("send_note", {"text": "hello"}))
    return Answer(text="The note is sent.") if done else Answer(tool_calls=calls)


def replay(user: User, origin: AgentExecution, **body: Any) -> Task:
    """The task of a replay that was accepted."""
    answer = ApiClient(user).post(f"/api/v1/executions/{origin.pk}/replay", body)
    assert answer.status_code == 201, answer.content
    begun = answer.json()
    assert begun["task_link"] == f"/api/v1/tasks/{begun['task_id']}"
    return Task.objects.get(pk=begun["task_id"])


def played(task: Task, *, after: float = 0) -> Task:
    """The end of the replay's run."""
    return finish(claim_one(task, now=clock.now() + timedelta(seconds=after)))


def last_run(task: Task) -> AgentExecution:
    return AgentExecution.objects.filter(task_id=task.pk).latest("created_at", "pk")


def shown(user: User, task: Task) -> Any:
    """The replay's last run as the API shows it."""
    return ApiClient(user).get(f"/api/v1/executions/{last_run(task).pk}").json()


def change(agent: Agent, **values: Any) -> int:
    """The number of the new version."""
    changed = registry.update_agent(
        organization_id=agent.organization_id,
        agent_id=agent.pk,
        values=values,
        actor=PERSON,
        now=clock.now(),
    )
    return registry.version_of(changed).number
