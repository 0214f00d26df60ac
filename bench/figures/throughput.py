"""Tasks a second through one worker, without a model, beside Celery's threads."""

import time
from typing import Final

from bench import queues
from bench.stage import Stage, log_in
from bench.table import Figure

TASKS: Final = 3000


def measure(stage: Stage) -> list[Figure]:
    """One round."""
    return [
        Figure(
            name="Tasks created in bulk, claimed and finished by one worker",
            unit="tasks/s",
            hub=_hub(stage),
            beside=_celery(stage),
            peer="Celery threads, one UPDATE each",
            bound="at least",
            target=1.0,
        )
    ]


def _hub(stage: Stage) -> float:
    with stage.web() as url, stage.hub("-m", "bench.empty_worker"):
        token = log_in(url)
        agent_id = queues.make_agent(url, token)
        queues.make_tasks(url, token, agent_id, 20)  # until here the worker may still be starting
        queues.wait_for_all(stage, agent_id)
        started = time.perf_counter()
        queues.make_tasks(url, token, agent_id, TASKS)
        queues.wait_for_all(stage, agent_id)
        return TASKS / (time.perf_counter() - started)


def _celery(stage: Stage) -> float:
    with queues.celery(stage) as settings:
        answer = stage.run_peer("-m", "bench.peers.queue_run", "rate", str(TASKS), **settings)
        return float(answer["value"])
