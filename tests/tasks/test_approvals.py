"""A call that people have to allow: the run waits without a worker, and goes on exactly once."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from itertools import count
from typing import Any, Final

import pytest
from django.db import connection
from django.test import Client

from accounts.models import Organization, User
from agents.errors import RunWithoutLease
from agents.models import Agent, AgentExecution, ExecutionStep
from agents.runtime.spec import RunResult
from approvals.choices import ApprovalStatus
from approvals.models import Approval
from approvals.operations import decisions
from kernel import clock
from runs.selectors import read_outcome
from tasks.choices import TaskStatus
from tasks.models import Task
from tasks.operations import endings, requests, suspensions
from tasks.operations.claims import Claim
from tests.accounts.factories import make_user
from tests.agents.factories import make_agent
from tests.approvals.factories import approve, make_people, make_rule, reject
from tests.clients import ApiClient
from tests.hub.console_rows import address
from tests.peers.model_server import ModelPeer
from tests.peers.script import Answer, Step
from tests.tasks import factories
from tests.tasks.scripted import Killed, answering, claim_again, finish, kill_at, run
from tests.threads import Gate, Pool, Waiters

pytestmark = pytest.mark.django_db(transaction=True)
# Turn, call and result of `look`, the question; then the granted call, its result, the answer.
ALL_WRITES: Final = 7
# The granted call is on record, its result is not.
UNKNOWN: Final = {(5, "after"), (6, "before")}


def respond(body: Mapping[str, Any]) -> Step:
    """Ask for a note that needs approval and one look that does not, or two notes; then answer."""
    if any(message["role"] == "tool" for message in body["messages"]):
        return Answer(text="Done.")
    if "twice" in json.dumps(body["messages"]):
        return Answer(tool_calls=(("send_note", {"text": "a"}), ("send_note", {"text": "b"})))
    return Answer(tool_calls=(("send_note", {"text": "hello"}), ("look", {})))


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelPeer]:
    with answering(monkeypatch, respond) as model:
        yield model


@pytest.fixture
def agent(organization: Organization, calls: list[str]) -> Agent:
    """An agent that asks before it changes anything."""
    tools = ["send_note", "look"]
    return make_agent(
        organization, llm_provider="openai", enabled_tools=tools, autonomy_level="supervised"
    )


@pytest.fixture
def task(agent: Agent, peer: ModelPeer) -> Task:
    return factories.make_task(agent.organization, agent=agent)


@pytest.fixture
def person(organization: Organization) -> User:
    return make_user(organization)


def suspended(task: Task) -> Approval:
    """The approval that the task's run waits for."""
    finish(factories.claim_one(task))
    return Approval.objects.get()


def go_on(task: Task) -> Task:
    """The end of the run that goes on now."""
    return finish(factories.claim_one(task, now=clock.now() + timedelta(seconds=1)))


def finish_approved(task: Task, person: User) -> Task:
    """The end of the task, whose one call somebody approves."""
    approve(suspended(task), person)
    return go_on(task)


def told(peer: ModelPeer) -> str:
    """What the model was sent last."""
    return json.dumps(peer.requests[-1].body["messages"])


def test_the_run_stops_and_says_what_it_waits_for(task: Task, calls: list[str]) -> None:
    approval = suspended(task)

    task.refresh_from_db()
    attempt = task.attempts.get()
    assert (task.status, task.error_kind) == (TaskStatus.REVIEW, "approval_pending")
    assert task.error == f"A person has to approve the call of send_note (approval {approval.pk})."
    assert (attempt.outcome, task.retry_count, task.lease_expires_at) == ("postponed", 0, None)
    assert (approval.action, approval.status) == ("execute_tool:send_note", "pending")
    assert approval.details == {"tool": "send_note", "arguments": {"text": "hello"}}
    # The call beside it needed nobody.
    assert calls == ["look"]


def test_what_is_approved_is_called_once(task: Task, calls: list[str], person: User) -> None:
    approval = suspended(task)

    approve(approval, person)
    task.refresh_from_db()
    assert (task.status, task.error) == (TaskStatus.ASSIGNED, "")
    done = go_on(task)

    approval.refresh_from_db()
    assert (done.status, done.result) == (TaskStatus.COMPLETED, "Done.")
    assert calls == ["look", "send_note"]
    assert approval.used_at is not None
    assert Approval.objects.count() == 1


@pytest.mark.parametrize("way", ["rejected", "expired"])
def test_the_model_is_told_that_nobody_allowed_it(
    task: Task, calls: list[str], peer: ModelPeer, person: User, way: str
) -> None:
    approval = suspended(task)

    if way == "rejected":
        reject(approval, person)
    else:
        Approval.objects.update(expires_at=approval.created_at)
        scope = {"organization_id": task.organization_id, "approval_id": approval.pk}
        assert decisions.expire(**scope, now=clock.now())
    done = go_on(task)

    sentence = {
        "rejected": "A person refused this call: Not today.",
        "expired": "Nobody approved this call in time, so it was not made.",
    }[way]
    step = ExecutionStep.objects.get(tool="send_note")
    assert (done.status, calls) == (TaskStatus.COMPLETED, ["look"])
    assert (step.status, step.error) == ("failed", sentence)
    assert sentence in told(peer)
    assert Approval.objects.count() == 1


def test_a_decision_that_comes_before_the_run_has_ended_is_not_lost(
    task: Task, calls: list[str], person: User
) -> None:
    claim = factories.claim_one(task)
    result = run(claim)

    approve(Approval.objects.get(), person)
    settled = endings.settle_attempt(claim=claim, result=result, now=clock.now())

    assert settled.status == TaskStatus.ASSIGNED
    assert go_on(task).status == TaskStatus.COMPLETED
    assert calls == ["look", "send_note"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(1, ALL_WRITES + 1))
def test_killed_between_any_two_writes_it_is_asked_and_called_once(
    task: Task, calls: list[str], person: User, number: int, when: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, number, when)
        with pytest.raises(Killed):
            finish_approved(task, person)

    again = finish(claim_again(task))
    if again.error_kind == "approval_pending":
        approve(Approval.objects.get(), person)
        again = finish(factories.claim_one(task, now=clock.now() + 3 * factories.LEASE))

    assert Approval.objects.count() == 1
    if (number, when) in UNKNOWN:
        assert (again.status, again.error_kind) == (TaskStatus.REVIEW, "tool_outcome_unknown")
        assert calls.count("send_note") <= 1
        return
    assert (again.status, again.result) == (TaskStatus.COMPLETED, "Done.")
    assert calls.count("send_note") == 1


@pytest.mark.parametrize("first", ["the end of the run", "the decision"])
def test_a_decision_and_the_end_of_the_run_at_once_lose_nothing(
    task: Task,
    calls: list[str],
    person: User,
    first: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    claim = factories.claim_one(task)
    result = run(claim)
    approval = Approval.objects.get()
    gate, waiters = Gate(), Waiters()
    holder = endings if first == "the end of the run" else suspensions
    work: dict[str, Callable[[], Any]] = {
        "the end of the run": lambda: settle(claim, result),
        "the decision": lambda: approve(approval, person),
    }
    held = work.pop(first)
    (waits,) = work.values()
    # Each holds the task's row from here on.
    inside = "has_pending" if holder is endings else "_rows"
    monkeypatch.setattr(holder, inside, stop_once(getattr(holder, inside), gate))

    with Pool(2) as pool:
        one = pool.submit(in_thread(held))
        gate.wait()
        other = pool.submit(in_thread(waits))
        waiters.wait_for(1)
        gate.open()
        one.result(20), other.result(20)

    task.refresh_from_db()
    assert (task.status, go_on(task).status) == (TaskStatus.ASSIGNED, TaskStatus.COMPLETED)
    assert calls == ["look", "send_note"]


def settle(claim: Claim, result: RunResult) -> Task:
    return endings.settle_attempt(claim=claim, result=result, now=clock.now())


def in_thread(work: Callable[[], Any]) -> Callable[[], None]:
    def call() -> None:
        try:
            work()
        finally:
            connection.close()

    return call


def stop_once(function: Callable[..., Any], gate: Gate) -> Callable[..., Any]:
    """`function`, the second call of which (with the row locked) stops at the gate."""
    reached = count(1)

    def call(*args: Any, **kwargs: Any) -> Any:
        found = function(*args, **kwargs)
        if next(reached) == (2 if function.__name__ == "_rows" else 1):
            gate()
        return found

    return call


def test_a_task_that_ends_asks_nobody_any_more(task: Task) -> None:
    approval = suspended(task)

    factories.act(requests.cancel_task, task)

    approval.refresh_from_db()
    assert approval.status == ApprovalStatus.CANCELLED


def test_a_worker_that_lost_its_lease_asks_nobody(task: Task) -> None:
    claim = factories.claim_one(task)
    factories.act(requests.cancel_task, task)

    with pytest.raises(RunWithoutLease):
        run(claim)

    assert not Approval.objects.exists()


def test_two_calls_go_on_after_the_second_decision(
    agent: Agent, calls: list[str], peer: ModelPeer, person: User
) -> None:
    task = factories.make_task(agent.organization, agent=agent, title="Say it twice")
    finish(factories.claim_one(task))
    first, second = Approval.objects.order_by("pk")

    reject(first, person)
    task.refresh_from_db()
    assert task.status == TaskStatus.REVIEW
    approve(second, person)
    done = go_on(task)

    assert (done.status, calls) == (TaskStatus.COMPLETED, ["send_note"])


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"autonomy_level": "read_only"},
            "This agent may only read, and the tool send_note changes something.",
        ),
        ({"autonomy_level": "autonomous"}, ""),
        ({"autonomy_level": "autonomous", "risk_rules": {"require_approval_for": ["send_*"]}}, "?"),
        ({"autonomy_level": "cautious"}, "?"),
    ],
)
def test_the_version_says_how_far_the_agent_goes(
    organization: Organization,
    calls: list[str],
    peer: ModelPeer,
    values: dict[str, Any],
    sentence: str,
) -> None:
    tools = ["send_note", "look"]
    agent = make_agent(organization, llm_provider="openai", enabled_tools=tools, **values)
    task = factories.make_task(organization, agent=agent)

    ended = finish(factories.claim_one(task))

    if sentence == "?":
        assert ended.error_kind == "approval_pending"
        return
    assert ended.status == TaskStatus.COMPLETED
    assert ExecutionStep.objects.get(tool="send_note").error == sentence
    assert ("send_note" in calls) is (sentence == "")


def test_it_is_explained_with_a_link(task: Task, person: User) -> None:
    approval = suspended(task)

    reasons = ApiClient(person).get(f"/api/v1/tasks/{task.pk}/explain").json()["reasons"]

    assert [reason["code"] for reason in reasons] == ["waiting_for_approval"]
    assert reasons[0]["message"] == "Somebody has to approve or reject execute_tool:send_note."
    assert reasons[0]["link"] == f"/api/v1/approvals/{approval.pk}"
    assert reasons[0]["console_link"].endswith(f"/approvals/approval/{approval.pk}/change/")


def test_nobody_but_who_decides_lets_the_work_go_on(task: Task, person: User) -> None:
    approval = suspended(task)
    client, path = ApiClient(person), f"/api/v1/tasks/{task.pk}"

    refused = client.patch(path, {"status": "in_progress"})

    assert (refused.status_code, refused.json()["code"]) == (409, "task.awaits_approval")
    assert f"Decide approval {approval.pk}" in refused.json()["detail"]
    assert task.attempts.count() == 1
    # What ran out lets it go on, as the sweep that comes by does.
    Approval.objects.update(expires_at=approval.created_at)
    assert client.patch(path, {"status": "in_progress"}).status_code == 200


def test_it_is_told_that_too_few_may_allow_a_call(task: Task, person: User) -> None:
    make_rule(task.organization, min_approvals=3)
    approval = suspended(task)
    approve(approval, person)
    client = ApiClient(person)

    (reason,) = client.get(f"/api/v1/tasks/{task.pk}/explain").json()["reasons"]
    answer = read_outcome(organization_id=task.organization_id, task_id=task.pk)

    lacks = "2 more approvals are needed, but nobody may vote."
    assert f"reject execute_tool:send_note. {lacks} Add people to a role" in reason["message"]
    assert (answer.error_kind, lacks in answer.error) == ("approval_pending", True)
    make_people(task.organization, 2)
    (reason,) = client.get(f"/api/v1/tasks/{task.pk}/explain").json()["reasons"]
    assert reason["message"] == "Somebody has to approve or reject execute_tool:send_note."


def test_the_trace_names_what_a_call_waited_for_and_used(
    task: Task, person: User, client: Client
) -> None:
    approval = suspended(task)
    waiting = list(AgentExecution.objects.values_list("pk", flat=True))
    approve(approval, person)
    go_on(task)
    used = AgentExecution.objects.exclude(pk__in=waiting).get()

    asked, granted = (
        ApiClient(person).get(f"/api/v1/executions/{pk}").json()["approvals"]
        for pk in (*waiting, used.pk)
    )
    client.force_login(person)
    page = client.get(address(AgentExecution, used.pk)).content.decode()

    approval.refresh_from_db()
    assert approval.decided_at is not None
    (shown,) = asked
    assert shown == {
        "id": str(approval.pk),
        "action": "execute_tool:send_note",
        "status": "approved",
        "step": None,
        "decided_by": str(person.pk),
        "decided_at": approval.decided_at.isoformat().replace("+00:00", "Z"),
        "link": f"/api/v1/approvals/{approval.pk}",
    }
    call = used.steps.get(kind="tool_call")
    assert granted == [{**shown, "step": call.ordinal}]
    assert address(Approval, approval.pk) in page
    assert f"{person.email}," in page
