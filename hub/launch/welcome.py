"""The welcome task: the hub asked about itself, through its public API as anybody would.

Run as `python -m hub.launch.welcome PARENT_PID` with one JSON object on the first line of standard
input: `url`, `provider`, `email`, and `password` or `token`.
"""

import asyncio
import json
import re
import signal
import sys
from contextlib import suppress
from typing import Any, Final

import httpx
import websockets
from websockets.asyncio.client import ClientConnection

from hub.embedded import processes

AGENT: Final = "Guide"
INSTRUCTIONS: Final = (
    "You are the guide of this Agent Hub. Look up every question with knowledge_search before you"
    " answer. Answer only from the passages you found, in a few sentences, and cite each one you"
    " use as [n]. If they do not answer the question, say so."
)
QUESTION: Final = "What is Agent Hub, and what happens to a task when the worker running it dies?"
SECONDS: Final = 180.0
POLL_SECONDS: Final = 1.0
LAG_SECONDS: Final = 1.0  # The end of a task may overtake the last words of its answer.
ENDED: Final = frozenset({"completed", "failed", "cancelled", "review"})
CITATION: Final = re.compile(r"\[\d+\]")
SHOWN: Final = 160


class WelcomeFailed(Exception):
    """The sentence says why the hub did not answer."""


def main(parent: int) -> int:
    """Ask, show, and return 0 if the answer is good."""
    processes.die_with_parent(signal.SIGTERM, parent)
    asked = json.loads(sys.stdin.readline())
    try:
        asyncio.run(_welcome(asked))
    except WelcomeFailed as failure:
        print(f"\n  The welcome task failed: {failure}", file=sys.stderr)
        return 1
    except (httpx.HTTPError, OSError, websockets.WebSocketException) as error:
        print(
            f"\n  The welcome task failed: {str(error) or type(error).__name__}.", file=sys.stderr
        )
        return 1
    return 0


async def _welcome(asked: dict[str, Any]) -> None:
    url = asked["url"]
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=30, trust_env=False) as client:
        token = asked["token"] or await _log_in(client, asked["email"], asked["password"])
        client.headers["Authorization"] = f"Bearer {token}"
        try:
            agent = await _ensure_guide(client, asked["provider"])
            print(f"\n  You    {QUESTION}\n", flush=True)
            task = await _ask(client, f"{url.replace('http', 'ws', 1)}/ws", token, agent["id"])
        finally:
            # Whatever came of it: the administrator's sessions are counted.
            with suppress(httpx.HTTPError):
                await client.post("/auth/logout")
    _report(task, agent)


async def _call(client: httpx.AsyncClient, method: str, path: str, **what: Any) -> Any:
    answer = await client.request(method, path, **what)
    if answer.is_success:
        return answer.json()
    try:
        reason = answer.json().get("detail")
    except ValueError:
        reason = None
    raise WelcomeFailed(f"{method} {path} answered {answer.status_code}: {reason or 'no reason'}")


async def _log_in(client: httpx.AsyncClient, email: str, password: str) -> str:
    body = {"email": email, "password": password}
    found = await _call(client, "POST", "/auth/login", json=body)
    return str(found["access_token"])


async def _ensure_guide(client: httpx.AsyncClient, provider: str) -> dict[str, Any]:
    """The started agent; one that was made while no provider was configured is moved to it."""
    listed = await _call(client, "GET", "/agents/", params={"limit": 200})
    agent = next((a for a in listed["items"] if a["name"] == AGENT), None)
    if agent is None:
        body = {
            "name": AGENT,
            "role": "guide",
            "description": "Answers questions about this hub from its documents.",
            "llm_provider": provider,
            "system_prompt": INSTRUCTIONS,
            "enabled_tools": ["knowledge_search", "calculator"],
        }
        agent = await _call(client, "POST", "/agents/", json=body)
    elif agent["llm_provider"] == "demo" != provider:
        body = {"llm_provider": provider, "llm_model": ""}
        agent = await _call(client, "PATCH", f"/agents/{agent['id']}", json=body)
    if not agent["is_active"] or agent["status"] == "offline":
        agent = await _call(client, "POST", f"/agents/{agent['id']}/start")
    return dict(agent)


async def _ask(client: httpx.AsyncClient, ws: str, token: str, agent_id: str) -> dict[str, Any]:
    """The task at its end, shown while it runs."""
    async with asyncio.timeout(SECONDS), websockets.connect(ws, proxy=None) as socket:
        await _subscribe(socket, token)
        body = {"title": QUESTION, "agent_id": agent_id}
        task = await _call(client, "POST", "/tasks/", json=body)
        return await Watch(client, socket, task["id"]).until_end()


async def _subscribe(socket: ClientConnection, token: str) -> None:
    for message, answer in (
        ({"type": "auth", "token": token}, "authenticated"),
        ({"type": "subscribe", "event": "task.*"}, "subscribed"),
    ):
        await socket.send(json.dumps(message))
        heard = json.loads(await socket.recv())
        if heard["type"] != answer:
            raise WelcomeFailed(f"/ws answered {heard['type']} instead of {answer}.")


class Watch:
    """Shows one task from its events; where they fail, the API says how it ended."""

    def __init__(self, client: httpx.AsyncClient, socket: ClientConnection, task_id: str) -> None:
        self._client = client
        self._socket: ClientConnection | None = socket
        self._task_id = task_id
        self._text = ""

    async def until_end(self) -> dict[str, Any]:
        """The task once it ended; its whole answer has been shown by then."""
        task: dict[str, Any] = {"status": None}
        while task["status"] not in ENDED:
            if await self._hear(POLL_SECONDS) is not False:
                task = await _call(self._client, "GET", f"/tasks/{self._task_id}")
        answer = (task["result"] or "").strip()
        while self._text.strip() != answer and await self._hear(LAG_SECONDS) is not None:
            pass
        self._show_missing(answer)
        return task

    async def _hear(self, seconds: float) -> bool | None:
        """True: the task ended; False: something else came; None: nothing came in time."""
        if self._socket is None:
            await asyncio.sleep(seconds)
            return None
        try:
            message = json.loads(await asyncio.wait_for(self._socket.recv(), seconds))
        except TimeoutError:
            return None
        except websockets.ConnectionClosed:
            self._socket = None
            return None
        data = message.get("data", {})
        if self._task_id not in (data.get("task_id"), data.get("id")):
            return False
        self._show(message["type"], data)
        return message["type"] in {"task.completed", "task.failed"}

    def _show(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "task.output":
            print(
                data["text"] if self._text else f"\n  {AGENT}  {data['text']}", end="", flush=True
            )
            self._text += data["text"]
        elif kind == "task.tool_call":
            self._text = ""  # Words before a tool call are not the answer.
            print(f"  calls  {data['tool']} {_short(data['arguments'])}", flush=True)
        elif kind == "task.tool_result":
            print(f"  gets   {_short(data.get('error') or data.get('result'))}", flush=True)

    def _show_missing(self, answer: str) -> None:
        if not answer.startswith(self._text) or not self._text:
            print(f"\n  {AGENT}  {answer}", end="")
        else:
            print(answer[len(self._text) :], end="")
        print(flush=True)


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _report(task: dict[str, Any], agent: dict[str, Any]) -> None:
    if task["status"] != "completed":
        raise WelcomeFailed(task["error"] or f"the task is {task['status']}.")
    seconds = task["actual_duration_seconds"] or 0
    spent = f"{task['cost_tokens']} tokens, ${float(task['cost_usd']):.6f}, {seconds:.1f} s"
    print(f"\n  {spent}, {agent['llm_provider']} {agent['llm_model']}".rstrip(), flush=True)
    if not CITATION.search(task["result"] or ""):
        raise WelcomeFailed("the answer cites no passage of the documents.")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
