"""A run that was begun, as the door knows it that waits for its end."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from kernel import tenancy
from kernel.actors import Actor
from runs import selectors
from runs.selectors import Outcome
from tasks.choices import CALLER_GONE, DEADLINE
from tasks.errors import TaskNotCancellable
from tasks.operations import requests

GONE: Final = "Whoever asked for this run stopped waiting before it ended."
LATE: Final = "The run did not end in the time that was given to it."


@dataclass(frozen=True, slots=True)
class Ticket:
    """Whose run it is, by which login or key, and how its end is told: `show` gives the status of
    the HTTP answer and its body.

    `outlives_client`: who sent an `Idempotency-Key` may come back for the answer, so a lost
    connection does not end the run.
    """

    organization_id: UUID
    task_id: UUID
    conversation_id: UUID
    user_id: UUID
    session_id: UUID | None
    key_id: UUID | None
    actor: Actor
    is_stream: bool
    outlives_client: bool
    show: Callable[[Outcome], tuple[int, Mapping[str, Any]]]


def look(*, ticket: Ticket) -> Outcome:
    """How the run stands."""
    with tenancy.organization(ticket.organization_id):
        return selectors.read_outcome(
            organization_id=ticket.organization_id, task_id=ticket.task_id
        )


def give_up(*, ticket: Ticket, now: datetime) -> Outcome:
    """Cancel the run, as its caller, and see what became of it: it may have ended by itself.

    One that waits for a person is left alone: whoever decides lets it go on.
    """
    outcome = look(ticket=ticket)
    if outcome.is_settled:
        return outcome
    is_late = outcome.deadline is not None and outcome.deadline <= now
    with tenancy.organization(ticket.organization_id), suppress(TaskNotCancellable):
        requests.cancel_task(
            organization_id=ticket.organization_id,
            task_id=ticket.task_id,
            actor=ticket.actor,
            now=now,
            why=LATE if is_late else GONE,
            kind=DEADLINE if is_late else CALLER_GONE,
        )
    return look(ticket=ticket)
