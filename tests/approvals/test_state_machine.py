"""Whatever is done in whatever order: an approval and a plain model of the rules agree."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from accounts.models import Organization, User
from approvals.models import Approval
from approvals.operations import decisions, requests, sweeps, uses
from kernel import clock
from kernel.errors import DomainError
from tests.approvals.factories import approve, ask, make_people, make_rule, reject

LIFE = 60
PEOPLE = 4
STAGE: dict[str, list[User]] = {}


@dataclass
class Plain:
    """What an approval has to do, written down a second time and without a database."""

    needed: int
    self_allowed: bool
    status: str = "pending"
    seconds: int = 0
    votes: set[int] = field(default_factory=set)
    used: bool = False
    ends: int = 0

    def end(self, status: str) -> None:
        self.status = status
        self.ends += status != "cancelled"

    def may_vote(self, person: int) -> bool:
        if self.status == "pending" and self.seconds >= LIFE and (person or self.self_allowed):
            self.end("expired")
        return (
            self.status == "pending"
            and person not in self.votes
            and (person != 0 or self.self_allowed)
        )

    def approve(self, person: int) -> bool:
        if not self.may_vote(person):
            return False
        self.votes.add(person)
        if len(self.votes) == self.needed:
            self.end("approved")
        return True

    def reject(self, person: int) -> bool:
        if not self.may_vote(person):
            return False
        self.end("rejected")
        return True

    def use(self) -> bool:
        first = self.status == "approved" and not self.used
        self.used = self.used or first
        return first


class Life(RuleBasedStateMachine):
    """One approval and everything that can be done with it; person 0 asked for it."""

    @initialize(needed=st.integers(1, 3), self_allowed=st.booleans())
    def begin(self, needed: int, self_allowed: bool) -> None:  # noqa: FBT001 - hypothesis calls it
        people = STAGE["people"]
        self.plain = Plain(needed, self_allowed)
        self.begun = clock.now()
        pinned = make_rule(
            people[0].organization,
            min_approvals=needed,
            allow_self_approval=self_allowed,
            expires_after_seconds=LIFE,
        )
        self.task_id = uuid4()
        self.approval = ask(
            people[0].organization,
            requester=people[0],
            rule_id=pinned.pk,
            task_id=self.task_id,
            now=self.begun,
        )
        self.ends: list[str] = []
        decisions.DECIDED[:] = [self.hear]

    def hear(self, approval: Approval, now: datetime) -> None:
        if approval == self.approval:  # and none that an earlier life left behind
            self.ends.append(str(approval.status))

    @property
    def now(self) -> datetime:
        return self.begun + timedelta(seconds=self.plain.seconds)

    @rule(seconds=st.integers(1, LIFE // 2))
    def wait(self, seconds: int) -> None:
        self.plain.seconds += seconds

    @rule(person=st.integers(0, PEOPLE - 1))
    def approve(self, person: int) -> None:
        assert self._is_taken(approve, person) == self.plain.approve(person)

    @rule(person=st.integers(0, PEOPLE - 1))
    def reject(self, person: int) -> None:
        assert self._is_taken(reject, person) == self.plain.reject(person)

    @rule()
    def sweep(self) -> None:
        sweeps.expire_due(now=self.now)
        if self.plain.status == "pending" and self.plain.seconds >= LIFE:
            self.plain.end("expired")

    @rule()
    def cancel(self) -> None:
        requests.cancel_of_task(
            organization_id=self.approval.organization_id, task_id=self.task_id, now=self.now
        )
        if self.plain.status == "pending":
            self.plain.end("cancelled")

    @rule()
    def use(self) -> None:
        used = uses.consume(
            organization_id=self.approval.organization_id,
            approval_id=self.approval.pk,
            binding=self.approval.binding,
            now=self.now,
        )
        assert used == self.plain.use()

    @rule()
    def ask_again(self) -> None:
        again = ask(self.approval.organization, task_id=self.task_id, now=self.now)
        assert again.pk == self.approval.pk

    @invariant()
    def they_agree(self) -> None:
        self.approval.refresh_from_db()
        assert self.approval.status == self.plain.status
        assert (self.approval.used_at is not None) == self.plain.used
        assert (self.approval.decided_at is None) == (self.plain.status == "pending")
        assert len(self.ends) == self.plain.ends <= 1

    def _is_taken(self, vote: object, person: int) -> bool:
        try:
            vote(self.approval, STAGE["people"][person], now=self.now)  # type: ignore[operator]
        except DomainError:
            return False
        return True


@pytest.mark.django_db
def test_an_approval_and_the_rules_agree(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decisions, "DECIDED", [])
    monkeypatch.setitem(STAGE, "people", make_people(organization, PEOPLE))

    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=25,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
