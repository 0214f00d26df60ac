"""Any order of what people, workers and sweeps do leaves the tables in agreement."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from agents.choices import AgentStatus, ExecutionStatus
from agents.models import Agent, AgentExecution
from agents.operations import registry
from kernel import clock
from kernel.errors import DomainError
from tasks.choices import OPEN, TRANSITIONS, AttemptOutcome, TaskStatus
from tasks.errors import LeaseLost
from tasks.models import Task, TaskAttempt
from tasks.operations import endings, requests, sweeps
from tasks.operations.claims import Claim
from tests.accounts import factories as people
from tests.agents import factories as agents
from tests.tasks import factories

LIMIT = 2
RESULTS = [agents.answered(), agents.failed(), agents.failed(retryable=False)]


class Life(RuleBasedStateMachine):
    """Two agents of two slots each, and whatever may happen to their tasks."""

    claimed: Bundle[Claim] = Bundle("claimed")

    @initialize()
    def begin(self) -> None:
        self.now = clock.now()
        self.tokens: dict[Any, int] = {}
        # One rollback an example: the database is as it was, without a TRUNCATE.
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.organization = people.make_organization()
        self.agents = [
            agents.make_agent(self.organization, max_concurrent_tasks=LIMIT) for _ in range(2)
        ]
        # Enough to fill an agent: the edges of its limit are where mistakes show.
        for agent in (0, 0, 0, 0, 1, None):
            self.create(agent=agent, retries=1)

    def teardown(self) -> None:
        if hasattr(self, "transaction"):
            transaction.set_rollback(True)
            self.transaction.__exit__(None, None, None)

    @rule(agent=st.sampled_from([None, 0, 1]), retries=st.integers(0, 2))
    def create(self, agent: int | None, retries: int) -> None:
        factories.make_task(
            self.organization,
            agent=None if agent is None else self.agents[agent],
            max_retries=retries,
            deadline=self.now + timedelta(minutes=20),
            now=self.now,
        )

    @rule(target=claimed, limit=st.integers(1, 5))
    def claim(self, limit: int) -> Any:
        return multiple(*factories.claim_all(limit=limit, now=self.now))

    @rule(claim=consumes(claimed), result=st.sampled_from(RESULTS))
    def settle(self, claim: Claim, result: Any) -> None:
        self._unless(LeaseLost, endings.settle_attempt, claim=claim, result=result, now=self.now)

    @rule(claim=consumes(claimed))
    def give_back(self, claim: Claim) -> None:
        self._unless(LeaseLost, endings.return_attempt, claim=claim, now=self.now)

    @rule(data=st.data(), operation=st.sampled_from([requests.cancel_task, requests.retry_task]))
    def ask(self, data: st.DataObject, operation: Callable[..., Task]) -> None:
        if task := self._any(data):
            self._unless(DomainError, factories.act, operation, task, now=self.now)

    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        if task := self._any(data):
            # Any status may be asked for, those that the machine allows more often.
            wanted = data.draw(st.sampled_from([*TRANSITIONS[task.status]] * 4 + TaskStatus.values))
            self._unless(DomainError, factories.change, task, status=wanted, now=self.now)

    @rule(
        data=st.data(),
        agent=st.sampled_from([None, 0, 1]),
        priority=st.sampled_from(["low", "high"]),
    )
    def edit(self, data: st.DataObject, agent: int | None, priority: str) -> None:
        agent_id = None if agent is None else self.agents[agent].pk
        if task := self._any(data):
            changes = {"agent_id": agent_id, "priority": priority, "now": self.now}
            self._unless(DomainError, factories.change, task, **changes)

    @rule(
        agent=st.integers(0, 1),
        verb=st.sampled_from([registry.start_agent] * 3 + [registry.stop_agent]),
    )
    def switch(self, agent: int, verb: Callable[..., Agent]) -> None:
        verb(
            organization_id=self.organization.pk,
            agent_id=self.agents[agent].pk,
            actor=agents.PERSON,
            now=self.now,
        )

    @rule(seconds=st.sampled_from([1, 31, 31, 600]))
    def sweep_later(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        sweeps.sweep_tasks(now=self.now)

    @invariant()
    def attempts_agree_with_their_task(self) -> None:
        for task in Task.objects.prefetch_related("attempts"):
            attempts = list(task.attempts.all())
            running = [a for a in attempts if a.outcome == AttemptOutcome.RUNNING]
            assert task.attempt_count == len(attempts)
            assert sorted(a.number for a in attempts) == list(range(1, len(attempts) + 1))
            assert len(running) == (task.lease_expires_at is not None)
            assert [a.fencing_token for a in running] == [task.fencing_token] * len(running)
            assert not running or task.status == TaskStatus.IN_PROGRESS
            assert (task.agent_id is None) == (
                task.status in sweeps.UNASSIGNED
            ) or task.completed_at
            assert task.retry_count <= task.max_retries

    @invariant()
    def every_attempt_has_one_execution(self) -> None:
        executions = dict(AgentExecution.objects.values_list("attempt_id", "status"))
        outcomes = dict(TaskAttempt.objects.values_list("pk", "outcome"))

        assert executions.keys() == outcomes.keys()
        assert {pk for pk, status in executions.items() if status == ExecutionStatus.RUNNING} == {
            pk for pk, outcome in outcomes.items() if outcome == AttemptOutcome.RUNNING
        }

    @invariant()
    def agents_are_busy_while_they_work_and_never_overfull(self) -> None:
        for agent in Agent.objects.all():
            running = Task.objects.filter(agent=agent, status=TaskStatus.IN_PROGRESS).count()
            assert running <= LIMIT
            if agent.is_active:
                assert (agent.status == AgentStatus.BUSY) == (running > 0)
            else:
                assert agent.status == AgentStatus.OFFLINE

    @invariant()
    def fencing_tokens_never_go_down(self) -> None:
        for pk, token in Task.objects.values_list("pk", "fencing_token"):
            assert token >= self.tokens.get(pk, 0)
            self.tokens[pk] = token

    def _any(self, data: st.DataObject) -> Task | None:
        """A task, rather one that has not ended."""
        tasks = list(Task.objects.order_by("created_at", "pk"))
        chosen = [task for task in tasks if task.status in OPEN] * 4 + tasks
        return data.draw(st.sampled_from(chosen)) if tasks else None

    def _unless(
        self, refusal: type[DomainError], operation: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        before = list(Task.objects.order_by("pk").values())
        try:
            with transaction.atomic():
                operation(*args, **kwargs)
        except refusal:
            assert list(Task.objects.order_by("pk").values()) == before


@pytest.mark.django_db
def test_tasks_live_by_the_rules() -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            database=None,
            phases=[Phase.generate],  # shrinking a story takes minutes; ask for it when one fails
            suppress_health_check=list(HealthCheck),
        ),
    )
