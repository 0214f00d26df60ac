"""Who may what: every route of the API for every kind of caller, as authorization.tsv says.

The bodies are `{}`. What is refused for lack of rights is 401, 403 or 404; 422 and the like come
after that, so they mean that the caller may.
"""

import csv
from pathlib import Path
from typing import Any, Final

import pytest
from django.db import transaction

from tests.accounts import factories
from tests.accounts.factories import make_token
from tests.clients import HubClient
from tests.contract import world as worlds
from tests.contract.test_rows import PLAIN_ROUTES, described
from tests.contract.world import World

TABLE: Final = Path(__file__).parent / "authorization.tsv"
CALLERS: Final = ("anonymous", "viewer", "operator", "admin", "key", "agent", "stranger")
# Answered by the ASGI front, which has tests of its own for each of them.
STREAMED: Final = {("GET", "/api/v1/tasks/{}/stream"), ("GET", "/api/v1/audit-events/export")}


def table() -> dict[tuple[str, str], dict[str, str]]:
    """What is expected, by route and caller."""
    with TABLE.open(newline="") as file:
        return {
            (row["method"], row["path"]): row
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        }


def routes() -> list[tuple[str, str]]:
    asked = set(described()) - STREAMED - PLAIN_ROUTES
    return sorted(asked, key=lambda route: (route[1], route[0]))


class Caller:
    """Sends a request with one kind of credential."""

    def __init__(self, headers: dict[str, str]) -> None:
        self._client = HubClient(headers=headers, raise_request_exception=False)

    def ask(self, method: str, path: str) -> Any:
        return self._client.generic(method, path, b"{}", content_type="application/json")


@pytest.fixture
def world(db: None) -> World:
    """The organization whose objects are asked for."""
    return worlds.make()


@pytest.fixture
def callers(world: World) -> dict[str, Caller]:
    """One of every kind."""
    stranger = factories.make_user(factories.make_organization())
    bearers = {
        "viewer": make_token(world.viewer),
        "operator": make_token(world.operator),
        "admin": make_token(world.admin),
        "key": worlds.narrow_key(world.admin),
        "stranger": make_token(stranger),
    }
    return {
        "anonymous": Caller({}),
        "agent": Caller({"X-Agent-Secret": worlds.AGENT_SECRET}),
        **{name: Caller({"Authorization": f"Bearer {token}"}) for name, token in bearers.items()},
    }


def test_the_table_has_every_route_and_no_other() -> None:
    assert set(table()) == set(routes())


def test_every_caller_may_what_the_table_says(world: World, callers: dict[str, Caller]) -> None:
    found = {route: answers(route, world, callers) for route in routes()}

    assert found == {
        route: {name: table().get(route, {}).get(name) for name in CALLERS} for route in routes()
    }


def answers(route: tuple[str, str], world: World, callers: dict[str, Caller]) -> dict[str, str]:
    """The status that each caller gets; what they did is taken back."""
    method, template = route
    statuses = {}
    for name in CALLERS:
        with transaction.atomic():
            answer = callers[name].ask(method, world.path(template))
            transaction.set_rollback(True)
        statuses[name] = str(answer.status_code)
    return statuses
