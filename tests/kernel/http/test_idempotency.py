"""`Idempotency-Key`: a POST that comes again is answered again, not done again."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import resolve

from accounts.choices import UserRole
from accounts.models import Organization, Session, User
from agents.models import Agent
from agents.operations import registry
from audit.models import AuditEvent
from events.models import OutboxEvent
from kernel import clock, redis_client
from kernel.http import idempotency
from kernel.http.viewsets import HubViewSet
from kernel.models import StoredAnswer
from kernel.tasks import prune_answers
from tasks.models import Task
from tasks.operations import requests
from tests.accounts import factories
from tests.accounts.factories import PASSWORD, make_organization, make_user
from tests.agents.factories import PERSON, make_agent
from tests.clients import ApiClient
from tests.contract.test_rows import described
from tests.tasks.factories import make_task
from tests.threads import Gate, race

TASKS = "/api/v1/tasks"
Api = Callable[[User | None], ApiClient]


def send(client: ApiClient, key: str, path: str = TASKS, body: Any = None) -> Any:
    """POST with an Idempotency-Key."""
    return client.post(path, body or {"title": "Once"}, headers={"Idempotency-Key": key})


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_the_same_request_is_done_once_and_answered_twice(api: Api, operator: User) -> None:
    client = api(operator)

    first = send(client, "k")
    audited, told = AuditEvent.objects.count(), OutboxEvent.objects.count()
    again = send(client, "k")

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again["Content-Type"] == first["Content-Type"] == "application/json"
    assert (first.get("Idempotency-Replayed"), again["Idempotency-Replayed"]) == (None, "true")
    assert again["X-Request-ID"] != first["X-Request-ID"]
    assert Task.objects.count() == 1
    assert (AuditEvent.objects.count(), OutboxEvent.objects.count()) == (audited, told)


def test_both_spellings_of_a_path_are_one_request(api: Api, operator: User) -> None:
    client = api(operator)

    assert send(client, "k").content == send(client, "k", TASKS + "/").content


def test_an_action_without_a_body_is_replayed(api: Api, operator: User) -> None:
    task = make_task(operator.organization)
    cancel = partial(send, api(operator), "k", f"{TASKS}/{task.pk}/cancel")

    first, again = cancel(), cancel()

    assert (first.status_code, again.status_code) == (200, 200)
    assert again.content == first.content


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (TASKS, {"title": "Another"}),
        ("/api/v1/agents", {"title": "Once"}),
        (TASKS + "?x=1", {"title": "Once"}),
    ],
    ids=["body", "path", "query"],
)
def test_a_key_belongs_to_one_request(
    api: Api, operator: User, path: str, body: dict[str, str]
) -> None:
    client = api(operator)
    send(client, "k")

    assert code(send(client, "k", path, body)) == (409, "idempotency.key_reused")
    assert (Task.objects.count(), Agent.objects.count()) == (1, 0)


def test_a_key_belongs_to_one_caller(api: Api, operator: User, admin: User, stranger: User) -> None:
    answers = [send(api(user), "k") for user in (operator, admin, stranger)]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert len({answer.json()["id"] for answer in answers}) == 3


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é", "a\tb", "\x7f"])
def test_a_malformed_key_is_422(api: Api, operator: User, key: str) -> None:
    answer = send(api(operator), key)

    assert code(answer) == (422, "validation.invalid")
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"
    assert not Task.objects.exists()


@pytest.mark.parametrize("key", ["!", "~" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"'])
def test_visible_characters_make_a_key(api: Api, operator: User, key: str) -> None:
    assert send(api(operator), key).status_code == 201


@pytest.mark.parametrize(
    ("body", "status"),
    [({"title": ""}, 422), (b"{", 400), ({"title": "x", "agent_id": str(uuid4())}, 422)],
)
def test_what_was_refused_may_be_tried_again(
    api: Api, operator: User, body: Any, status: int
) -> None:
    client = api(operator)

    refused = [send(client, "k", body=body).status_code for _ in range(2)]

    assert refused == [status, status]
    assert send(client, "k").status_code == 201


def test_a_state_that_forbade_it_may_allow_it_later(api: Api, operator: User) -> None:
    client = api(operator)
    agent = make_agent(operator.organization, name="Taken")
    create = partial(send, client, "k", "/api/v1/agents", {"name": "Taken"})

    refused = create()
    registry.delete_agent(
        organization_id=agent.organization_id, agent_id=agent.pk, actor=PERSON, now=clock.now()
    )

    assert code(refused) == (409, "agent.name_taken")
    assert [create().status_code for _ in range(2)] == [201, 201]


def test_permission_is_asked_before_the_key_is_looked_at(
    api: Api, operator: User, stranger: User
) -> None:
    task = make_task(operator.organization)
    path = f"{TASKS}/{task.pk}/cancel"
    first = send(api(operator), "k", path)
    factories.set_role(operator, UserRole.VIEWER)

    assert first.status_code == 200
    assert code(send(api(operator), "k", path)) == (403, "permission.denied")
    assert code(send(api(stranger), "k", path)) == (404, "task.not_found")
    assert code(send(api(None), "k", path)) == (401, "auth.required")


@pytest.mark.django_db(transaction=True)
def test_a_bug_leaves_nothing_and_the_key_free(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    client = api(make_user(make_organization()))
    real = requests.create_task

    def break_after(**values: Any) -> Task:
        real(**values)
        raise RuntimeError("Broken after the operation.")

    with monkeypatch.context() as patch:
        patch.setattr(requests, "create_task", break_after)
        broken = send(client, "k")
    left = Task.objects.count()

    assert (code(broken), left) == ((500, "internal.error"), 0)
    assert send(client, "k").status_code == 201


@pytest.mark.django_db(transaction=True)
def test_the_second_of_two_at_once_is_refused_and_told_when_to_come_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = api(make_user(make_organization()))
    gate, real = Gate(), requests.create_task

    def held(**values: Any) -> Task:
        task = real(**values)
        gate()
        return task

    monkeypatch.setattr(requests, "create_task", held)

    def follow() -> Any:
        gate.wait()
        answer = send(client, "k")
        gate.open()
        return answer

    first, second = race(lambda: send(client, "k"), follow)

    assert first.status_code == 201
    assert code(second) == (409, "idempotency.in_progress")
    assert second["Retry-After"] == "1"
    assert send(client, "k").content == first.content
    assert Task.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_is_done(api: Api) -> None:
    user = make_user(make_organization())
    clients = [api(user) for _ in range(6)]

    answers = race(*(partial(send, client, "k") for client in clients))

    done = {answer.content for answer in answers if answer.status_code == 201}
    others = [code(answer) for answer in answers if answer.status_code != 201]
    assert len(done) == Task.objects.count() == 1
    assert set(others) <= {(409, "idempotency.in_progress")}


@pytest.mark.django_db(transaction=True)
def test_bells_ring_after_the_commit(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user(make_organization())
    agent = make_agent(user.organization)
    bell = "hub:doorbell:tasks.claim_tasks"
    redis_client.client().delete(bell)  # the agent's start rang it
    rung: list[int] = []
    real = idempotency._store

    def look(*values: Any) -> None:
        rung.append(redis_client.client().exists(bell))
        real(*values)

    monkeypatch.setattr(idempotency, "_store", look)
    send(api(user), "k", body={"title": "Once", "agent_id": str(agent.pk)})

    assert [*rung, redis_client.client().exists(bell)] == [0, 1]


def test_an_answer_with_a_secret_is_not_kept(api: Api, admin: User) -> None:
    login = {"email": admin.email, "password": PASSWORD}

    first = send(api(None), "k", "/api/v1/auth/login", login)
    again = send(api(None), "k", "/api/v1/auth/login", login)

    assert first.status_code == 200
    assert code(again) == (409, "idempotency.not_replayable")
    stored = StoredAnswer.objects.get()
    assert (stored.status, stored.body, stored.headers) == (200, None, {})
    assert Session.objects.count() == 1


def test_a_failed_login_keeps_no_key(api: Api, admin: User) -> None:
    wrong, right = ({"email": admin.email, "password": p} for p in ("wrong", PASSWORD))

    answers = [send(api(None), "k", "/api/v1/auth/login", body) for body in (wrong, wrong, right)]

    assert [answer.status_code for answer in answers] == [401, 401, 200]


@pytest.mark.django_db(transaction=True)
def test_a_refusal_keeps_what_its_operation_keeps(api: Api) -> None:
    """A stolen refresh token ends its session, with a key as without."""
    user = make_user(make_organization())
    tokens = api(None).post("/api/v1/auth/login", {"email": user.email, "password": PASSWORD})
    body = {"refresh": tokens.json()["refresh"]}
    refresh = partial(send, api(None), path="/api/v1/auth/refresh", body=body)

    answers = [refresh(key=key) for key in ("a", "b")]

    assert [answer.status_code for answer in answers] == [200, 401]
    assert Session.objects.get().revoked_at is not None


def test_a_key_is_forgotten_after_a_day(api: Api, operator: User) -> None:
    client = api(operator)
    send(client, "k")
    StoredAnswer.objects.update(created_at=clock.now() - idempotency.KEPT)

    again = send(client, "k", body={"title": "Another"})

    assert (again.status_code, again.json()["title"]) == (201, "Another")
    assert StoredAnswer.objects.get().created_at > clock.now() - timedelta(minutes=1)


def test_old_answers_are_pruned_in_batches(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    monkeypatch.setattr(idempotency, "BATCH", 2)
    for number in range(5):
        StoredAnswer.objects.create(
            id=f"old{number}", status=200, created_at=now - idempotency.KEPT
        )
    StoredAnswer.objects.create(id="new", status=200, created_at=now)

    prune_answers()

    assert list(StoredAnswer.objects.values_list("pk", flat=True)) == ["new"]


def test_nothing_readable_is_stored_of_key_and_body(api: Api, operator: User) -> None:
    send(api(operator), "my-key")

    stored = StoredAnswer.objects.get()
    assert stored.organization_id == operator.organization_id
    assert len(stored.pk) == len(stored.request_digest) == 64


def test_it_costs_five_statements_and_without_the_header_none(api: Api, operator: User) -> None:
    client = api(operator).known()
    counted = []
    for headers in ({}, {"Idempotency-Key": "k"}, {"Idempotency-Key": "k"}):
        with CaptureQueriesContext(connection) as queries:
            client.post(TASKS, {"title": "Once"}, headers=headers)
        counted.append([q["sql"].split()[0] for q in queries])

    plain, first, again = counted
    assert not [sql for sql in plain if "stored" in sql]
    # Savepoint, lock, look-up, insert and release are added; the test's own transaction stands
    # where the request's would be.
    assert len(first) == len(plain) + 5
    assert again[-4:] == ["SAVEPOINT", "SELECT", "SELECT", "RELEASE"]


def test_every_post_of_the_api_takes_a_key() -> None:
    posts = {path: op for (method, path), op in described().items() if method == "POST"}

    for path, operation in posts.items():
        view = resolve(path.replace("{}", str(uuid4()))).func
        assert issubclass(view.cls, HubViewSet), path  # type: ignore[attr-defined]
        assert "Idempotency-Key" in [p["name"] for p in operation["parameters"]], path
