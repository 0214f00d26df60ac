"""Routes of `/api/v1/tasks`."""

from collections.abc import Callable

from accounts.models import User
from tests.clients import ApiClient

Api = Callable[[User | None], ApiClient]


def test_a_task_without_agent_is_pending(api: Api, operator: User) -> None:
    client = api(operator)

    answer = client.post("/api/v1/tasks/", {"title": "Say hello"})

    assert answer.status_code == 201
    assert answer.json()["status"] == "pending"
