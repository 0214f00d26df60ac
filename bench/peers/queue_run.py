"""Drives `queue_app`: `python -m bench.peers.queue_run rate N | latency N`; prints JSON."""

import json
import os
import sys
import time

import psycopg

from bench.peers import queue_app

CREATE = "CREATE TABLE IF NOT EXISTS queue_task (id bigint PRIMARY KEY, status text NOT NULL)"


def rate(count):
    """Tasks a second, from the first row to the last UPDATE."""
    with psycopg.connect(os.environ["BENCH_DATABASE"], autocommit=True) as database:
        database.execute(CREATE)
        database.execute("TRUNCATE queue_task")
        started = time.perf_counter()
        with database.cursor().copy("COPY queue_task FROM STDIN") as rows:
            for number in range(count):
                rows.write_row((number, "assigned"))
        for number in range(count):
            queue_app.finish.apply_async(kwargs={"number": number})
        left = "SELECT count(*) FROM queue_task WHERE status = 'assigned'"
        while database.execute(left).fetchone()[0]:
            time.sleep(0.05)
        return count / (time.perf_counter() - started)


def latency(count):
    """Milliseconds from the call to the body, one task at a time."""
    waited = []
    for _ in range(count):
        started = time.time()
        queue_app.note_start.apply_async()
        _, began = queue_app.broker.blpop(["bench:celery:started"], timeout=30)
        waited.append((float(began) - started) * 1000)
        time.sleep(0.02)
    return waited


if __name__ == "__main__":
    print(json.dumps({"value": {"rate": rate, "latency": latency}[sys.argv[1]](int(sys.argv[2]))}))
