"""From a person's yes to the run that goes on, on an idle hub."""

import time
from typing import Any, Final

import psycopg

from bench import queues
from bench.stage import Stage, call, log_in, wait_until
from bench.table import Figure, percentile

SAMPLES: Final = 60
TOOL: Final = "calculator"
# The second attempt at the task is the one that goes on.
RESUMED: Final = """
SELECT extract(epoch FROM execution.created_at) FROM agents_agentexecution AS execution
WHERE execution.task_id = %s AND execution.resumed_from_id IS NOT NULL
"""


def measure(stage: Stage) -> list[Figure]:
    """One round."""
    with stage.web() as url, stage.hub("manage.py", "worker"):
        token = log_in(url)
        _ask_for(url, token)
        agent_id = queues.make_agent(
            url,
            token,
            llm_provider="demo",
            enabled_tools=[TOOL],
            risk_rules={"require_approval_for": [TOOL]},
        )
        waited = [_sample(stage, url, token, agent_id) for _ in range(SAMPLES)]
    return [
        Figure(
            name=f"Approval to the run that goes on, {name}",
            unit="ms",
            hub=percentile(waited, part),
            bound="at most",
            target=target,
        )
        for name, part, target in (("p50", 0.5, 30.0), ("p99", 0.99, 120.0))
    ]


def _ask_for(url: str, token: str) -> None:
    """Whoever asks may say yes, so that one person is enough here."""
    rule = {"name": "Bench", "action": f"execute_tool:{TOOL}", "allow_self_approval": True}
    call("POST", f"{url}/api/v1/approval-rules", rule, token)


def _sample(stage: Stage, url: str, token: str, agent_id: str) -> float:
    """Milliseconds from the vote's request to the beginning of the run that goes on."""
    body = {"title": "What is 6 * 7?", "agent_id": agent_id}
    task = call("POST", f"{url}/api/v1/tasks/", body, token)
    asked: list[Any] = []

    def is_asked() -> bool:
        page = f"{url}/api/v1/approvals?status=pending&task_id={task['id']}"
        asked[:] = call("GET", page, None, token)["items"]
        return bool(asked)

    wait_until(is_asked)
    # What the end of the first run rang is over.
    time.sleep(0.1)
    sent = time.time()
    call("POST", f"{url}/api/v1/approvals/{asked[0]['id']}/approve", {}, token)
    queues.wait_for_all(stage, agent_id)
    with psycopg.connect(stage.superuser_url, autocommit=True) as database:
        row = database.execute(RESUMED, [task["id"]]).fetchone()
    if row is None:
        raise RuntimeError("The task did not go on from its first run.")
    return (float(row[0]) - sent) * 1000
