"""Jobs: sent after the commit or not at all, rung once, and never at the request's cost."""

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest
from celery import current_app
from celery.exceptions import NotRegistered
from django.db import transaction
from pytest_django.fixtures import Settings

from accounts.models import User
from hub.celery import app
from kernel import jobs, redis_client
from kernel.errors import Conflict, Unavailable
from tasks.models import Task
from tests.clients import ApiClient

DEAD: Final = "redis://127.0.0.1:1/0"
QUEUE: Final = "kernel-tests"
Api = Callable[[User | None], ApiClient]


@pytest.fixture(scope="module")
def calls() -> Iterator[list[dict[str, Any]]]:
    """Arguments with which the job `kernel.note_call` ran; it raises what `fail` holds."""
    noted: list[dict[str, Any]] = []

    @jobs.job("kernel.note_call", queue=QUEUE, expected=(Conflict,))
    def note_call(fail: str = "", **arguments: Any) -> None:
        noted.append(arguments)
        if fail:
            raise {"conflict": Conflict, "unavailable": Unavailable}[fail]

    _use_routes()
    yield noted
    current_app.tasks.unregister("kernel.note_call")
    del jobs._routes["kernel.note_call"]
    _use_routes()


def _use_routes() -> None:
    amqp: Any = app.amqp
    app.conf.task_routes = jobs.routes()
    amqp.flush_routes()
    vars(amqp).pop("router", None)


@pytest.fixture
def dead_broker(settings: Settings, django_db_setup: None) -> Iterator[None]:
    """Nobody listens where Redis should be."""
    celery: Any = app
    before = celery.conf.broker_url, celery._pool, celery.amqp._producer_pool
    celery.conf.update(broker_url=DEAD, broker_write_url=DEAD)
    celery._pool = celery.amqp._producer_pool = None
    settings.REDIS_URL = DEAD
    redis_client.client.cache_clear()
    yield
    celery.conf.update(broker_url=before[0], broker_write_url=before[0])
    _, celery._pool, celery.amqp._producer_pool = before
    redis_client.client.cache_clear()


def waiting() -> list[dict[str, Any]]:
    """The keyword arguments of the messages in the queue, first sent first."""
    messages: Any = redis_client.client().lrange(QUEUE, 0, -1)
    bodies = [json.loads(message) for message in reversed(messages)]
    return [_arguments(body) for body in bodies]


def _arguments(message: dict[str, Any]) -> dict[str, Any]:
    arguments: dict[str, Any] = json.loads(b64decode(message["body"]))[1]
    return arguments


pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("calls")]


def test_a_message_is_sent_after_the_commit() -> None:
    with transaction.atomic():
        jobs.enqueue("kernel.note_call", number=1)
        before = waiting()

    assert (before, waiting()) == ([], [{"number": 1}])


def test_nothing_is_sent_after_a_rollback() -> None:
    with transaction.atomic():
        jobs.enqueue("kernel.note_call")
        jobs.ring("kernel.note_call")
        transaction.set_rollback(True)

    assert waiting() == []


def test_a_ring_in_a_savepoint_that_is_rolled_back_does_not_silence_a_later_one() -> None:
    with transaction.atomic():
        savepoint = transaction.savepoint()
        jobs.ring("kernel.note_call")
        transaction.savepoint_rollback(savepoint)
        jobs.ring("kernel.note_call")

    assert waiting() == [{}]


def test_many_rings_are_one_message() -> None:
    with transaction.atomic():
        for _ in range(10):
            jobs.ring("kernel.note_call")
        hooks = len(transaction.get_connection().run_on_commit)
    for _ in range(10):
        jobs.ring("kernel.note_call")

    assert (hooks, waiting()) == (1, [{}])


def test_the_bell_rings_again_once_the_job_has_begun(calls: list[dict[str, Any]]) -> None:
    jobs.ring("kernel.note_call")

    current_app.tasks["kernel.note_call"].apply()
    jobs.ring("kernel.note_call")

    assert waiting() == [{}, {}]


def test_a_bell_may_ring_later_and_then_only_once() -> None:
    for _ in range(3):
        jobs.ring("kernel.note_call", after_seconds=60)

    (message,) = redis_client.client().lrange(QUEUE, 0, -1)
    assert json.loads(message)["headers"]["eta"]
    # Until the job has begun, or nobody would ring for what came while it waited.
    assert redis_client.client().pttl("hub:doorbell:kernel.note_call") > 60_000


@pytest.mark.parametrize("send", [jobs.enqueue, jobs.ring])
def test_a_misspelt_name_raises_at_once(send: Callable[[str], None]) -> None:
    with pytest.raises(KeyError) as refused:
        send("kernel.note_cal")

    assert isinstance(refused.value, NotRegistered)


@pytest.mark.parametrize("send", [jobs.enqueue, jobs.ring])
def test_a_dead_broker_is_logged_not_raised(
    dead_broker: None, caplog: pytest.LogCaptureFixture, send: Callable[[str], None]
) -> None:
    send("kernel.note_call")

    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "kernel.job.not_" in record.getMessage()


def test_a_request_does_not_fail_for_a_dead_broker(
    dead_broker: None, api: Api, operator: User
) -> None:
    answer = api(operator).post("/api/v1/tasks/", {"title": "x"})

    assert answer.status_code == 201
    assert Task.objects.count() == 1


def test_an_expected_refusal_ends_a_job_quietly(
    calls: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    task = current_app.tasks["kernel.note_call"]

    refused = task.apply(kwargs={"fail": "conflict", "newer": 1})
    levels = {record.levelname for record in caplog.records if "kernel" in record.name}
    broken = task.apply(kwargs={"fail": "unavailable"})

    assert (refused.state, broken.state) == ("SUCCESS", "FAILURE")
    assert calls[-2:] == [{"newer": 1}, {}]
    assert levels <= {"INFO"}


def test_the_schedule_names_only_registered_jobs_and_their_queues() -> None:
    app.loader.import_default_modules()

    for name, entry in jobs.schedule().items():
        assert entry["task"] == name
        assert name in current_app.tasks
        assert entry["options"]["queue"] == jobs.routes()[name]["queue"]
        assert entry["options"]["expires"] >= entry["schedule"]
