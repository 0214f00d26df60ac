"""From the request to the run, on an idle hub."""

import time
from typing import Final

from redis import Redis

from bench import queues
from bench.stage import Stage, call, log_in
from bench.table import Figure, percentile

SAMPLES: Final = 150
IDLE_SECONDS: Final = 0.1
KEY: Final = "bench:started"


def measure(stage: Stage) -> list[Figure]:
    """One round."""
    hub, peer = _hub(stage), _celery(stage)
    shared = "Celery apply_async to body"
    return [
        Figure(
            name=f"POST /tasks to run started, {name}",
            unit="ms",
            hub=percentile(hub, part),
            bound="at most",
            target=target,
            peer=f"{shared}: {percentile(peer, part):.1f} ms",
        )
        for name, part, target in (("p50", 0.5, 15.0), ("p99", 0.99, 60.0))
    ]


def _hub(stage: Stage) -> list[float]:
    redis = Redis.from_url(stage.redis_url, socket_timeout=60)
    with stage.web() as url, stage.hub("-m", "bench.empty_worker", BENCH_STARTED=KEY):
        token = log_in(url)
        agent_id = queues.make_agent(url, token)
        queues.make_tasks(url, token, agent_id, 20)
        queues.wait_for_all(stage, agent_id)
        redis.delete(KEY)
        waited = []
        for number in range(SAMPLES):
            body = {"title": f"Task {number}", "agent_id": agent_id}
            sent = time.time()
            call("POST", f"{url}/api/v1/tasks/", body, token)
            popped = redis.blpop([KEY], timeout=30)
            waited.append((float(popped[1]) - sent) * 1000)  # type: ignore[index]  # the client types both of its kinds
            time.sleep(IDLE_SECONDS)
        queues.wait_for_all(stage, agent_id)  # one that is left would start in the next round
        return waited


def _celery(stage: Stage) -> list[float]:
    with queues.celery(stage) as settings:
        command = ("-m", "bench.peers.queue_run", "latency", str(SAMPLES))
        return list(stage.run_peer(*command, **settings)["value"])
