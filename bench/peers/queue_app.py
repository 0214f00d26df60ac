"""Celery as people run it: a pool of threads, a Redis broker, one UPDATE a task."""

import os
import threading
import time

import psycopg
import redis
from celery import Celery

app = Celery("queue_app", broker=os.environ["BENCH_BROKER"])
app.conf.update(task_ignore_result=True, worker_hijack_root_logger=False)
_own = threading.local()
broker = redis.Redis.from_url(os.environ["BENCH_BROKER"])


def _connection():
    if not hasattr(_own, "connection"):
        _own.connection = psycopg.connect(os.environ["BENCH_DATABASE"], autocommit=True)
    return _own.connection


@app.task(name="finish")
def finish(*, number):
    """The whole task: its row is done."""
    _connection().execute("UPDATE queue_task SET status = 'completed' WHERE id = %s", (number,))


@app.task(name="note_start")
def note_start():
    """Write down when it began."""
    broker.rpush("bench:celery:started", repr(time.time()))
