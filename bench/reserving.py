"""In a process of the hub: reserving and settling model calls, and the bare SQL of the same."""

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Final
from uuid import UUID, uuid4

import django

django.setup()

import psycopg
from django.db import connection

from accounts.models import Organization
from cost.operations import budgets, record_usage, reservations
from kernel import clock, tenancy
from kernel.actors import SYSTEM

THREADS: Final = 8
SECONDS: Final = 4.0
WORST: Final = Decimal("0.0035")
LIMIT: Final = Decimal(1_000_000)
TABLES: Final = """
CREATE TABLE bench_budget (id int PRIMARY KEY, spent numeric, reserved numeric, budget numeric)
  WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 200,
    autovacuum_vacuum_cost_delay = 0);
CREATE TABLE bench_reservation (id uuid PRIMARY KEY, amount numeric);
CREATE TABLE bench_ledger (id uuid PRIMARY KEY, cost numeric, at timestamptz);
INSERT INTO bench_budget VALUES (1, 0, 0, 1000000);
"""
RESERVE: Final = """
WITH held AS (
  UPDATE bench_budget SET reserved = reserved + %(worst)s
  WHERE id = 1 AND spent + reserved + %(worst)s <= budget RETURNING id
)
INSERT INTO bench_reservation SELECT %(id)s, %(worst)s FROM held
"""
SETTLE: Final = """
WITH gone AS (DELETE FROM bench_reservation WHERE id = %(id)s RETURNING amount),
booked AS (INSERT INTO bench_ledger SELECT %(id)s, %(cost)s, now() FROM gone)
UPDATE bench_budget SET reserved = reserved - gone.amount, spent = spent + %(cost)s
FROM gone WHERE bench_budget.id = 1
"""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of one call."""

    input_tokens: int = 1_000
    output_tokens: int = 50
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    unmeasured_requests: int = 0


def main() -> None:
    """Print calls a second, each reserved and settled, as JSON."""
    with tenancy.platform():
        free, counted = _organization(), _organization()
        budgets.create_budget(
            organization_id=counted,
            scope="organization",
            period="month",
            limit_usd=LIMIT,
            is_hard=True,
            actor=SYSTEM,
            now=clock.now(),
        )
        call(counted)
    print(
        json.dumps(
            {
                "bare": _rate(bare),
                "counted": _rate(lambda: partial(call, counted)),
                "free": _rate(lambda: partial(call, free)),
            }
        )
    )


def call(organization_id: UUID) -> None:
    """One call as the hub makes it."""
    execution_id, now = uuid4(), clock.now()
    named: dict[str, Any] = {
        "organization_id": organization_id,
        "agent_id": None,
        "task_id": None,
        "execution_id": execution_id,
        "ordinal": 0,
        "provider": "openai",
        "model": "gpt-4o",
        "now": now,
    }
    reservations.reserve(input_tokens=1_000, output_tokens=100, **named)
    record_usage(usage=Tokens(), **named)


def bare() -> Callable[[], None]:
    """The same by two statements over a connection of one's own."""
    database = psycopg.connect(os.environ["BENCH_SUPERUSER_URL"], autocommit=True)

    def run() -> None:
        asked = {"id": uuid4(), "worst": WORST, "cost": Decimal("0.003")}
        database.execute(RESERVE, asked)
        database.execute(SETTLE, asked)

    return run


def _organization() -> UUID:
    made = Organization.objects.create(name="Bench", slug=f"bench-{uuid4().hex[:12]}")
    return made.pk


def _rate(prepare: Callable[[], Callable[[], None]]) -> float:
    """Runs a second of THREADS threads over SECONDS."""
    counts: list[int] = []
    start = threading.Barrier(THREADS)

    def work() -> None:
        with tenancy.platform():
            run, count = prepare(), 0
            run()
            start.wait()
            until = time.perf_counter() + SECONDS
            while time.perf_counter() < until:
                run()
                count += 1
            counts.append(count)
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / SECONDS


if __name__ == "__main__":
    with psycopg.connect(os.environ["BENCH_SUPERUSER_URL"], autocommit=True) as prepared:
        prepared.execute("DROP TABLE IF EXISTS bench_budget, bench_reservation, bench_ledger")
        prepared.execute(TABLES)
    main()
