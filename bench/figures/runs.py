"""A thousand runs of one worker against a provider that takes a second, beside bare pydantic-ai."""

import threading
import time
from dataclasses import dataclass, field
from typing import Final

import psutil  # type: ignore[import-untyped]  # ships no types

from bench import queues
from bench.stage import Stage, call, free_port, is_listening, log_in, wait_until
from bench.table import Figure

RUNS: Final = 1000
SECONDS: Final = 1.0
PEER: Final = "bare pydantic-ai"


@dataclass(slots=True)
class Seen:
    """What the hub's worker took: seconds, CPU milliseconds a run, peak resident MB."""

    wall: float = 0.0
    cpu: float = 0.0
    peak: float = field(default=0.0)


def measure(stage: Stage) -> list[Figure]:
    """One round."""
    port = free_port()
    with stage.peer("-m", "bench.peers.provider", str(port), str(SECONDS)):
        wait_until(lambda: is_listening(port))
        url = f"http://127.0.0.1:{port}"
        peer = stage.run_peer("-m", "bench.peers.agents_run", url, str(RUNS))
        hub = _hub(stage, url)
    return [
        Figure("1,000 runs of 1.0 s, wall", "s", hub.wall, "at most", 1.3, peer["wall"], PEER),
        Figure(
            "CPU of a run with one model call", "ms", hub.cpu, "at most", 1.5, peer["cpu"], PEER
        ),
        Figure("Worker's peak memory with 1,000 runs", "MB", hub.peak, "at most", 350),
    ]


def _hub(stage: Stage, provider: str) -> Seen:
    settings = {
        "HUB_WORKER_RUNS": str(RUNS),
        "HUB_OPENAI_API_KEY": "none",
        "HUB_OPENAI_BASE_URL": f"{provider}/v1",
        "HUB_OPENAI_MODEL": "gpt-4o-mini",
    }
    with (
        stage.web(settings=settings) as url,
        stage.hub("manage.py", "worker", **settings) as worker,
    ):
        token = log_in(url)
        agent_id = queues.make_agent(
            url, token, llm_provider="openai", system_prompt="You are brief."
        )
        queues.make_tasks(url, token, agent_id, 1)
        queues.wait_for_all(stage, agent_id)
        call("POST", f"{url}/api/v1/agents/{agent_id}/stop", {}, token)
        queues.make_tasks(url, token, agent_id, RUNS)
        time.sleep(2)  # until their audit rows are sealed and their events sent
        seen, process, over = Seen(), psutil.Process(worker.pid), threading.Event()
        watching = threading.Thread(target=_watch, args=(process, seen, over))
        watching.start()
        started, cpu = time.perf_counter(), _cpu(process)
        call("POST", f"{url}/api/v1/agents/{agent_id}/start", {}, token)
        queues.wait_for_all(stage, agent_id)
        seen.wall, seen.cpu = time.perf_counter() - started, (_cpu(process) - cpu) * 1000 / RUNS
        over.set()
        watching.join()
        return seen


def _watch(process: psutil.Process, seen: Seen, over: threading.Event) -> None:
    while not over.wait(0.05):
        seen.peak = max(seen.peak, process.memory_info().rss / 1e6)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
