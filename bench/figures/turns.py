"""One model turn of a run that has the worker to itself, beyond the same by bare pydantic-ai."""

from typing import Final

import psycopg

from bench import queues
from bench.stage import Stage, call, free_port, is_listening, log_in, wait_until
from bench.table import Figure

RUNS: Final = 200
# As the engine takes it: from the first look at the log to the answer on record.
MEDIAN: Final = """
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms)
FROM agents_agentexecution WHERE agent_id = %s AND status = 'success'
"""


def measure(stage: Stage) -> list[Figure]:
    """One round; the provider answers at once."""
    port = free_port()
    with stage.peer("-m", "bench.peers.provider", str(port), "0"):
        wait_until(lambda: is_listening(port))
        url = f"http://127.0.0.1:{port}"
        bare = stage.run_peer("-m", "bench.peers.agents_run", url, str(RUNS), "alone")["median"]
        hub = _hub(stage, url)
    return [
        Figure(
            name="A model turn in the loop, beyond that of bare pydantic-ai, one at a time",
            unit="ms",
            hub=hub - bare,
            bound="at most",
            target=5.0,
            peer=f"bare pydantic-ai: {bare:.1f} ms",
        )
    ]


def _hub(stage: Stage, provider: str) -> float:
    settings = {
        "HUB_WORKER_RUNS": "1",
        "HUB_OPENAI_API_KEY": "none",
        "HUB_OPENAI_BASE_URL": f"{provider}/v1",
        "HUB_OPENAI_MODEL": "gpt-4o-mini",
    }
    with stage.web(settings=settings) as url, stage.hub("manage.py", "worker", **settings):
        token = log_in(url)
        agent_id = queues.make_agent(
            url, token, llm_provider="openai", system_prompt="You are brief."
        )
        call("POST", f"{url}/api/v1/agents/{agent_id}/stop", {}, token)
        queues.make_tasks(url, token, agent_id, RUNS)
        call("POST", f"{url}/api/v1/agents/{agent_id}/start", {}, token)
        queues.wait_for_all(stage, agent_id)
    with psycopg.connect(stage.superuser_url, autocommit=True) as database:
        row = database.execute(MEDIAN, [agent_id]).fetchone()
    return float(row[0]) if row else 0.0
