"""A hub whose agent has tools of real servers, a budget, and a call that people must allow."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from tests.journeys import hubs
from tests.journeys.hubs import Hub
from tests.peers.mcp_server import Site, mcp_site
from tests.peers.model_server import KEY, ModelPeer
from tests.peers.openai_server import openai_peer
from tests.peers.script import Answer
from tests.peers.tool_service import Service, tool_service

SECONDS: Final = 60.0
TOOLS: Final = ["weather:forecast", "orders:getOrder", "weather:note", "barometer:forecast"]
COMMAND: Final = [sys.executable, "-m", "tests.peers.mcp_server"]
APPROVER: Final = "harbour-master@hub.example.com"
OPENAPI: Final[dict[str, Any]] = {
    "openapi": "3.1.0",
    "info": {"title": "Orders", "version": "1"},
    "servers": [{"url": "/"}],
    "paths": {
        "/orders/{id}": {
            "get": {
                "operationId": "getOrder",
                "summary": "One order.",
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
                ],
            }
        }
    },
}
SCRIPT: Final = (
    Answer(
        tool_calls=(
            ("weather_forecast", {"city": "Oslo"}),
            ("orders_getOrder", {"id": "7"}),
            ("barometer_forecast", {"city": "Oslo"}),
        ),
        input_tokens=200,
        output_tokens=30,
    ),
    Answer(
        tool_calls=(("weather_note", {"text": "Order 7 sails."}),),
        call_ids=("call_note",),
        input_tokens=300,
        output_tokens=20,
    ),
    Answer(text="Order 7 sails in clear weather.", input_tokens=350, output_tokens=9),
)


@dataclass
class Scene:
    """The hub, the servers around it, and its API for the administrator and for an approver."""

    hub: Hub
    models: ModelPeer
    weather: Site
    orders: Service
    api: httpx.Client = field(init=False)
    approver: httpx.Client = field(init=False)

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """What the API answers the administrator."""
        found: dict[str, Any] = self.api.get(path, params=query).raise_for_status().json()
        return found

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """The same for something to be made or done."""
        made: dict[str, Any] = self.api.post(path, json=body).raise_for_status().json()
        return made

    def patch(self, path: str, **body: Any) -> dict[str, Any]:
        """The same for a change."""
        changed: dict[str, Any] = self.api.patch(path, json=body).raise_for_status().json()
        return changed

    def wait_for(self, path: str, is_there: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """What the API answers once `is_there` says so."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found[:] = [self.get(path)]
            return is_there(found[0])

        hubs.wait_for(look, SECONDS)
        return found[0]

    def wait_for_reason(self, task_id: str, code: str) -> dict[str, Any]:
        """Why the task does not run, once that is `code`."""
        explained = self.wait_for(
            f"/tasks/{task_id}/explain", lambda found: found["reasons"][0]["code"] == code
        )
        return {**explained["reasons"][0], "summary": explained["summary"]}

    def wait_for_status(self, task_id: str, status: str) -> dict[str, Any]:
        """The task, once it has `status`."""
        return self.wait_for(f"/tasks/{task_id}", lambda task: task["status"] == status)

    def make_agent(self, name: str, **settings: Any) -> str:
        """A started agent, with tools of all servers unless `settings` say otherwise."""
        body = {
            "llm_provider": "openai",
            "llm_model": "gpt-4o-mini",
            "max_tokens": 1000,
            "enabled_tools": TOOLS,
            **settings,
        }
        agent = self.post("/agents/", name=name, **body)
        self.post(f"/agents/{agent['id']}/start")
        return str(agent["id"])

    def make_budget(self, subject_id: str, limit_usd: str, *, scope: str = "agent") -> str:
        """A hard one for the month."""
        budget = self.post(
            "/budgets",
            scope=scope,
            subject_id=subject_id,
            period="month",
            limit_usd=limit_usd,
            is_hard=True,
        )
        return str(budget["id"])

    def make_task(self, agent_id: str) -> str:
        """Work for the agent, and what the model will say to it."""
        self.models.follow(*SCRIPT)
        return str(self.post("/tasks/", title="May order 7 sail?", agent_id=agent_id)["id"])

    def make_budgeted_task(self, agent_id: str, title: str, limit_usd: str) -> tuple[str, str]:
        """Work for the agent, and a budget of its own that is there before it begins."""
        self.post(f"/agents/{agent_id}/stop")
        task_id = str(self.post("/tasks/", title=title, agent_id=agent_id)["id"])
        budget_id = self.make_budget(task_id, limit_usd, scope="task")
        self.post(f"/agents/{agent_id}/start")
        return task_id, budget_id

    def finish_task(self, agent_id: str, title: str, *script: Answer) -> dict[str, Any]:
        """Work for the agent, to whom the model says this; at its end."""
        self.models.follow(*script)
        task = self.post("/tasks/", title=title, agent_id=agent_id)
        return self.wait_for_status(task["id"], "completed")

    def run_of(self, task_id: str) -> dict[str, Any]:
        """The task's one attempt, with its steps."""
        found = self.get("/executions/", task_id=task_id)["items"]
        (run,) = [run for run in found if run["attempt_id"]]
        return self.get(f"/executions/{run['id']}")

    def add_sources(self) -> None:
        """All servers' tools are in the catalogue; writing a note needs a person."""
        self.orders.put("GET", "/openapi.json", OPENAPI)
        self.orders.put("GET", "/orders/7", {"id": "7", "cargo": "herring"})
        document = f"{self.orders.url}/openapi.json"
        weather = self.post("/tool-sources", name="weather", kind="mcp", url=self.weather.url)
        orders = self.post("/tool-sources", name="orders", kind="openapi", url=document)
        # A program that a worker has started, and speaks with over its standard streams.
        barometer = self.post("/tool-sources", name="barometer", kind="mcp", command="barometer")
        for source in (weather, orders, barometer):
            self.wait_for(
                f"/tool-sources/{source['id']}", lambda found: bool(found["last_refreshed_at"])
            )
        tools = self.get("/tools", service_name="weather")["items"]
        (note_id,) = [tool["id"] for tool in tools if tool["tool_name"] == "weather:note"]
        self.patch(f"/tools/{note_id}", needs_approval=True)


@contextmanager
def governed(data_dir: Path) -> Iterator[Scene]:
    """A hub that has asked both servers for their tools."""
    with ExitStack() as stack:
        models = stack.enter_context(openai_peer())
        weather, orders = stack.enter_context(mcp_site()), stack.enter_context(tool_service())
        settings = {
            "HUB_OPENAI_API_KEY": KEY,
            "HUB_OPENAI_BASE_URL": f"{models.url}/v1",
            "HUB_OUTBOUND_ALLOW": "127.0.0.0/8",
            "HUB_MCP_COMMANDS": json.dumps({"barometer": COMMAND}),
        }
        hub = stack.enter_context(hubs.serving(data_dir, **settings))
        scene = Scene(hub, models, weather, orders)
        scene.api = stack.enter_context(_log_in(hub, hubs.EMAIL))
        scene.post("/admin/users", email=APPROVER, password=hubs.PASSWORD, role="admin")
        scene.approver = stack.enter_context(_log_in(hub, APPROVER))
        scene.add_sources()
        yield scene


@contextmanager
def _log_in(hub: Hub, email: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{hub.url}/api/v1", timeout=30, trust_env=False) as client:
        body = {"email": email, "password": hubs.PASSWORD}
        tokens = client.post("/auth/login", json=body).raise_for_status().json()
        client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        yield client
