"""A call that passes a breaker: permitted before it goes out, told of when it has ended."""

import math
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

import structlog
from django.db import transaction

from breakers.choices import BreakerState, Forced, Outcome
from breakers.clients import states
from breakers.clients.states import Answer, NoRedis
from breakers.errors import BreakerOpen
from breakers.models import CircuitBreaker
from breakers.operations import switches
from events import operations as events

log = structlog.get_logger(__name__)
# Until somebody looks again at a breaker that a person holds open.
FORCED_SECONDS: Final = 60
Find: TypeAlias = Callable[[UUID, str, datetime], CircuitBreaker | None]


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave for one call. Not `is_counted` while Redis does not answer: its end tells nothing."""

    organization_id: UUID
    name: str
    token: str
    generation: int
    is_counted: bool = True


def permit(*, organization_id: UUID, name: str, now: datetime) -> Permit:
    """Leave for one call to what `name` stands for; the first one makes the breaker's row.

    Raises BreakerOpen with `retry_after_seconds` and `breaker`. Without Redis everything is
    permitted that nobody holds open.
    """
    return _permit(organization_id, name, now, find=_get_or_make)


def permit_known(*, organization_id: UUID, name: str, now: datetime) -> Permit:
    """The same for a name that anybody may have made up: without a row it is permitted, uncounted,
    and gets none."""
    return _permit(organization_id, name, now, find=_get)


def report(*, permit: Permit, outcome: Outcome, now: datetime) -> None:
    """Say how the call ended. Only faults of the other side are failures: 5xx, time, connection.

    `Outcome.UNKNOWN` for a call that was given up here: it frees the place of a trial.
    """
    if not permit.is_counted:
        return
    try:
        before, after = states.tell(
            organization_id=permit.organization_id,
            name=permit.name,
            permit=permit.token,
            generation=permit.generation,
            outcome=outcome,
            now=now,
        )
    except NoRedis:
        return
    if before != after:
        _announce(permit, before, after, now)


@transaction.atomic
def _announce(permit: Permit, before: BreakerState, after: BreakerState, now: datetime) -> None:
    log.warning("breakers.moved", breaker=permit.name, before=before, after=after)
    events.publish(
        organization_id=permit.organization_id,
        type="breaker.moved",
        data={"name": permit.name, "from": before, "to": after},
        now=now,
    )
    if after == BreakerState.CLOSED:
        switches.let_through(permit.organization_id, permit.name, now)


def _permit(organization_id: UUID, name: str, now: datetime, *, find: Find) -> Permit:
    token = secrets.token_hex(8)
    uncounted = Permit(organization_id, name, token, -1, is_counted=False)
    try:
        answer = states.ask(organization_id=organization_id, name=name, permit=token, now=now)
        if answer is None:
            breaker = find(organization_id, name, now)
            if breaker is None:
                return uncounted
            states.learn(breaker=breaker, now=now)
            answer = states.ask(organization_id=organization_id, name=name, permit=token, now=now)
    except NoRedis:
        answer = _by_row(find(organization_id, name, now))
        if answer.is_permitted:
            return uncounted
    if answer is None:  # its limits were lost between the two questions
        return uncounted
    if not answer.is_permitted:
        raise _open(name, answer)
    return Permit(organization_id, name, token, answer.generation)


def _get(organization_id: UUID, name: str, _now: datetime) -> CircuitBreaker | None:
    return CircuitBreaker.objects.filter(organization_id=organization_id, name=name).first()


def _get_or_make(organization_id: UUID, name: str, now: datetime) -> CircuitBreaker:
    found = _get(organization_id, name, now)
    if found is not None:
        return found
    made = CircuitBreaker(
        organization_id=organization_id,
        name=name,
        is_automatic=True,
        created_at=now,
        updated_at=now,
    )
    CircuitBreaker.objects.bulk_create([made], ignore_conflicts=True)
    return CircuitBreaker.objects.get(organization_id=organization_id, name=name)


def _by_row(breaker: CircuitBreaker | None) -> Answer:
    is_open = breaker is not None and breaker.forced == Forced.OPEN
    state = BreakerState.OPEN if is_open else BreakerState.CLOSED
    return Answer(is_permitted=not is_open, state=state)


def _open(name: str, answer: Answer) -> BreakerOpen:
    if answer.wait_seconds is None:
        sentence = f"Somebody holds the circuit breaker {name} open. Ask an administrator."
        return BreakerOpen(sentence, data={"retry_after_seconds": FORCED_SECONDS, "breaker": name})
    seconds = max(1, math.ceil(answer.wait_seconds))
    what = "tries whether it works again" if answer.state == BreakerState.HALF_OPEN else "is open"
    sentence = f"The circuit breaker {name} {what}. Try again in {seconds} s."
    return BreakerOpen(sentence, data={"retry_after_seconds": seconds, "breaker": name})
