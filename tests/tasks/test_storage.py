"""How claims and sweeps reach their rows: by small indexes, in tables that are vacuumed early."""

import re
from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Organization
from kernel import clock
from tasks.operations import claims, sweeps
from tests.agents.factories import make_agent
from tests.tasks.factories import LEASE, claim_all, make_task


def plan_of(statement: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}")
        return "\n".join(line for (line,) in cursor.fetchall())


def indexes_of(plan: str) -> set[str]:
    """The indexes by which a plan reaches tasks; a walk through all of one counts as no index."""
    found = set(re.findall(r"(?:Scan using|Bitmap Index Scan on) (task\w+)", plan))
    if "Seq Scan on tasks_task" in plan or ("tasks_task_pkey" in found and "(id = " not in plan):
        found.add("none")
    return found


@pytest.mark.parametrize("work", ["claim", "sweep", "renew"])
def test_nothing_walks_through_all_tasks(organization: Organization, work: str) -> None:
    agent = make_agent(organization, max_concurrent_tasks=2)
    for _ in range(3):
        make_task(organization, agent=agent)
    held = [(claim.task_id, claim.fencing_token) for claim in claim_all(limit=1)]
    jobs: dict[str, Callable[[], object]] = {
        "claim": lambda: claim_all(limit=1),
        "sweep": lambda: sweeps.sweep_tasks(now=clock.now() + 2 * LEASE),
        "renew": lambda: claims.renew_leases(held=held, lease=LEASE, now=clock.now()),
    }

    with CaptureQueriesContext(connection) as queries:
        jobs[work]()

    asked = [q["sql"] for q in queries if "tasks_task" in q["sql"] and "INSERT" not in q["sql"]]
    assert asked
    with connection.cursor() as cursor:
        # In a table of three rows the planner would otherwise walk, whatever indexes there are.
        cursor.execute("SET LOCAL enable_seqscan = off")
    walked = [sql for sql in asked if "Seq Scan on tasks_task" in plan_of(sql)]
    assert walked == []


def test_queue_tables_are_vacuumed_early(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r'"
            " AND 'autovacuum_vacuum_cost_delay=0' = ANY(reloptions)"
        )
        tuned = {name for (name,) in cursor.fetchall()}

    assert tuned == {
        "agents_agent",
        "agents_agentexecution",
        "agents_executionstep",
        "audit_auditchain",
        "audit_auditevent",
        "cost_budgetwindow",
        "cost_reservation",
        "events_outboxevent",
        "events_outboxhead",
        "tasks_task",
        "tasks_taskattempt",
    }
