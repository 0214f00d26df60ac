"""One organization with an agent, a task and a run, and every route that leads to them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from accounts.models import Organization, User
from agents.models import Agent
from tasks.models import Task
from tests.agents.factories import make_agent
from tests.clients import ApiClient
from tests.footprint import footprint
from tests.tasks.factories import claim_one, make_task

Api = Callable[[User | None], ApiClient]


@dataclass(frozen=True, slots=True)
class Route:
    """One route: `body` is accepted by it, and `status` then answered."""

    method: str
    path: str
    status: int = 200
    body: dict[str, Any] = field(default_factory=dict)
    writes: bool = False
    bad: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_detail(self) -> bool:
        return "{" in self.path

    def ask(self, client: ApiClient, world: dict[str, Any], body: Any = ...) -> Any:
        """Send the request."""
        path = "/api/v1" + self.path.format(**world)
        if self.method in {"get", "delete"}:
            return getattr(client, self.method)(path)
        return getattr(client, self.method)(path, self.body if body is ... else body)


ROUTES = [
    Route("get", "/auth/me"),
    Route("get", "/agents"),
    Route("post", "/agents", 201, {"name": "New"}, True, {"name": ""}),
    Route("get", "/agents/{agent}"),
    Route("patch", "/agents/{agent}", 200, {"name": "Renamed"}, True, {"max_tokens": -1}),
    Route("delete", "/agents/{idle}", 204, writes=True),
    Route("post", "/agents/{idle}/start", writes=True),
    Route("post", "/agents/{agent}/stop", writes=True),
    Route("get", "/agents/{agent}/versions"),
    Route("get", "/executions"),
    Route("get", "/executions/{execution}"),
    Route("get", "/tasks"),
    Route("post", "/tasks", 201, {"title": "New"}, True, {"title": ""}),
    Route("post", "/tasks/bulk", 201, {"tasks": [{"title": "New"}]}, True, {"tasks": []}),
    Route("get", "/tasks/stats"),
    Route("get", "/tasks/{task}"),
    Route("get", "/tasks/{task}/attempts"),
    Route("get", "/tasks/{task}/explain"),
    Route("patch", "/tasks/{task}", 200, {"priority": "high"}, True, {"status": "running"}),
    Route("post", "/tasks/{task}/cancel", writes=True),
]


@pytest.fixture
def agent(organization: Organization) -> Agent:
    """A started agent."""
    return make_agent(organization)


@pytest.fixture
def task(organization: Organization, agent: Agent) -> Task:
    """Its running task."""
    return make_task(organization, agent=agent)


@pytest.fixture
def world(organization: Organization, agent: Agent, task: Task) -> dict[str, str]:
    """Ids for the paths of ROUTES."""
    claim = claim_one(task)
    return {
        "agent": str(agent.pk),
        "idle": str(make_agent(organization, started=False).pk),
        "task": str(task.pk),
        "execution": str(claim.execution.pk),
    }


@pytest.fixture
def untouched() -> Iterator[Callable[[], None]]:
    """Call it when all is prepared: the test then fails if any row differs at its end."""
    before: list[Any] = []
    yield lambda: before.append(footprint())
    assert before == [footprint()]
