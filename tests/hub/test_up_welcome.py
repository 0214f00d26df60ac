"""The welcome task against a scripted hub: what it asks, shows, and does when things go wrong."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

ROOT = Path(__file__).resolve().parents[2]
ANSWER = "The hub gives the task to another worker [1]."


def make_task(**changes: Any) -> dict[str, Any]:
    return {
        "id": "task-1",
        "status": "completed",
        "result": ANSWER,
        "error": "",
        "cost_tokens": 1234,
        "cost_usd": "0.00042000",
        "actual_duration_seconds": 2.5,
        **changes,
    }


def make_agent(**changes: Any) -> dict[str, Any]:
    return {
        "id": "agent-1",
        "name": "Guide",
        "llm_provider": "demo",
        "llm_model": "demo",
        "is_active": True,
        "status": "idle",
        **changes,
    }


@dataclass
class ScriptedHub:
    """Answers the few calls of the welcome task and keeps what it was asked."""

    task: dict[str, Any] = field(default_factory=make_task)
    agents: list[dict[str, Any]] = field(default_factory=list)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    drops: bool = False
    asked: list[tuple[str, Any]] = field(default_factory=list)
    port: int = 0

    def app(self) -> Starlette:
        paths = ["/auth/login", "/agents/", "/agents/agent-1", "/agents/agent-1/start", "/tasks/"]
        paths.append("/auth/logout")
        routes = [
            Route(f"/api/v1{p}", self.answer, methods=["GET", "POST", "PATCH"]) for p in paths
        ]
        task = Route("/api/v1/tasks/task-1", self.answer)
        return Starlette(
            routes=[*routes, task, WebSocketRoute("/ws", self.push)], lifespan=self.lifespan
        )

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        yield

    async def answer(self, request: Request) -> Response:
        path = request.url.path.removeprefix("/api/v1")
        body = json.loads(await request.body() or b"null")
        self.asked.append((f"{request.method} {path}", body))
        if path == "/auth/logout":
            return JSONResponse({"detail": request.headers["authorization"]})
        if path == "/auth/login":
            return self.log_in(body["password"])
        if path.startswith("/tasks"):
            return JSONResponse(self.task)
        if request.method == "GET":
            return JSONResponse({"items": self.agents})
        return JSONResponse({**make_agent(), **(body or {})})

    def log_in(self, password: str) -> Response:
        if password == "right":
            return JSONResponse({"access_token": "token-1"})
        return JSONResponse({"detail": "Wrong e-mail or password."}, status_code=401)

    async def push(self, socket: WebSocket) -> None:
        await socket.accept()
        self.asked.append(("ws", await socket.receive_json()))
        await socket.send_json({"type": "authenticated", "data": {}})
        self.asked.append(("ws", await socket.receive_json()))
        await socket.send_json({"type": "subscribed", "data": {"event": "task.*"}})
        for kind, data in self.events:
            await socket.send_json({"type": kind, "data": {"task_id": "task-1", **data}})
        if self.drops:
            await socket.close()
        else:
            await socket.receive()


@pytest.fixture
def hub() -> Iterator[ScriptedHub]:
    scripted = ScriptedHub()
    config = uvicorn.Config(scripted.app(), port=0, log_level="error", ws="websockets-sansio")
    with config.bind_socket() as listening:
        scripted.port = listening.getsockname()[1]
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield scripted
        server.should_exit = True
        thread.join()


def welcome(hub: ScriptedHub, **changes: Any) -> tuple[int, str, str]:
    """Exit code, standard output and error of the welcome task."""
    asked = {
        "url": f"http://127.0.0.1:{hub.port}",
        "provider": "demo",
        "email": "admin@hub.example.com",
        "password": "right",
        "token": None,
        **changes,
    }
    done = subprocess.run(
        [sys.executable, "-m", "hub.launch.welcome", str(os.getpid())],
        cwd=ROOT,
        input=f"{json.dumps(asked)}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_it_makes_and_starts_the_guide_and_shows_the_run_as_it_happens(hub: ScriptedHub) -> None:
    hub.agents = [make_agent(name="Other")]
    hub.events = [
        ("task.tool_call", {"tool": "knowledge_search", "arguments": {"query": "hub"}}),
        ("task.tool_result", {"tool": "knowledge_search", "result": {"passages": []}}),
        ("task.output", {"text": "The hub gives the task "}),
        ("task.output", {"text": "never shown", "task_id": "task-2"}),
        ("task.output", {"text": "to another worker [1]."}),
        ("task.completed", {}),
    ]

    code, output, errors = welcome(hub)

    assert (code, errors) == (0, "")
    assert output.partition("\n\n  calls")[2] == (
        '  knowledge_search {"query": "hub"}\n'
        '  gets   {"passages": []}\n'
        f"\n  Guide  {ANSWER}\n"
        "\n  1234 tokens, $0.000420, 2.5 s, demo demo\n"
    )
    assert hub.asked[-1] == ("POST /auth/logout", None)
    sent = dict(hub.asked)
    assert sent["POST /agents/"]["enabled_tools"] == ["knowledge_search", "calculator"]
    assert sent["POST /tasks/"]["agent_id"] == "agent-1"
    assert [what for where, what in hub.asked if where == "ws"] == [
        {"type": "auth", "token": "token-1"},
        {"type": "subscribe", "event": "task.*"},
    ]


def test_a_lost_socket_is_made_good_by_asking(hub: ScriptedHub) -> None:
    hub.events = [("task.output", {"text": "The hub gives "})]
    hub.drops = True

    code, output, _ = welcome(hub)

    assert code == 0
    assert f"\n  Guide  {ANSWER}\n" in output


def test_a_failed_task_is_told_with_its_reason(hub: ScriptedHub) -> None:
    error = "OpenAI refused the API key (401). Check HUB_OPENAI_API_KEY."
    hub.task = make_task(status="failed", result=None, error=error)
    hub.events = [("task.failed", {})]

    code, _, errors = welcome(hub)

    assert (code, errors) == (1, f"\n  The welcome task failed: {error}\n")
    assert hub.asked[-1] == ("POST /auth/logout", None)


def test_an_answer_without_citation_is_not_good_enough(hub: ScriptedHub) -> None:
    hub.task = make_task(result="I think so.")
    hub.events = [("task.output", {"text": "I think so."}), ("task.completed", {})]

    code, _, errors = welcome(hub)

    assert code == 1
    assert errors == "\n  The welcome task failed: the answer cites no passage of the documents.\n"


def test_a_refusal_of_the_api_is_told_with_its_reason(hub: ScriptedHub) -> None:
    code, _, errors = welcome(hub, password="wrong")

    assert (code, errors) == (
        1,
        "\n  The welcome task failed: POST /auth/login answered 401: Wrong e-mail or password.\n",
    )


def test_a_token_replaces_the_login(hub: ScriptedHub) -> None:
    hub.events = [("task.completed", {})]

    code, _, _ = welcome(hub, password=None, token="minted")

    assert code == 0
    assert ("ws", {"type": "auth", "token": "minted"}) in hub.asked
    assert "POST /auth/login" not in dict(hub.asked)


def test_a_stopped_demo_guide_is_moved_to_the_provider_and_started(hub: ScriptedHub) -> None:
    hub.agents = [make_agent(is_active=False, status="offline")]
    hub.events = [("task.completed", {})]

    welcome(hub, provider="anthropic")

    sent = dict(hub.asked)
    assert sent["PATCH /agents/agent-1"] == {"llm_provider": "anthropic", "llm_model": ""}
    assert "POST /agents/" not in sent


def test_a_hub_that_does_not_answer_is_told(hub: ScriptedHub) -> None:
    code, _, errors = welcome(hub, url="http://127.0.0.1:9")

    assert (code, errors) == (
        1,
        "\n  The welcome task failed: All connection attempts failed.\n",
    )
