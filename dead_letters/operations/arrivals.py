"""Keeping dead letters in step with their tasks; a hook of `tasks.operations.records`."""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from agents.choices import ExecutionSource
from dead_letters.choices import LetterStatus
from dead_letters.models import DeadLetter
from kernel import batches
from tasks.choices import TaskStatus
from tasks.models import Task
from tasks.operations.records import Move

# Who asked in person was told how it ended; only what ran unattended waits for somebody to look.
UNATTENDED: Final = frozenset({ExecutionSource.QUEUE})
PEOPLE: Final = frozenset({"user", "key"})
# In this order: what is quoted may hold numbers.
_VARYING: Final = re.compile(r"'[^']*'|\"[^\"]*\"|“[^”]*”|\b[0-9a-fA-F][0-9a-fA-F-]{7,}\b|\d+")
_AGAIN: Final = (
    "status",
    "priority",
    "error_type",
    "last_error",
    "group",
    "reason",
    "failures",
    "last_failed_at",
    "updated_at",
)
_REDRIVEN: Final = ("status", "redrive_count", "redriven_at", "redriven_by", "updated_at")


def follow_moves(moves: Sequence[Move], now: datetime) -> None:
    """In the transaction of each move: what failed for good arrives, what works again leaves."""
    dead = [move.task for move in moves if _died(move)]
    if dead:
        arrive(dead, now)
    alive = [move for move in moves if move.before == TaskStatus.FAILED != move.task.status]
    if alive:
        _leave(alive, now)


def arrive(tasks: Sequence[Task], now: datetime, *, reason: str = "") -> None:
    """Write that failed tasks are dead letters, in the caller's transaction, which locks them."""
    known = {
        letter.task_id: letter
        for letter in DeadLetter.objects.filter(task__in=[task.pk for task in tasks])
    }
    for task in tasks:
        letter = known.get(task.pk)
        if letter is not None:
            letter.failures += 1
            _describe(letter, task, reason, now)
    batches.update(list(known.values()), _AGAIN)
    batches.insert([_new(task, reason, now) for task in tasks if task.pk not in known])


def group_of(error_type: str, error: str) -> str:
    """16 hexadecimal digits, the same for failures that differ in varying parts only."""
    told = f"{error_type}\x1f{_VARYING.sub('#', error)}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _died(move: Move) -> bool:
    return (
        move.task.status == TaskStatus.FAILED
        and move.actor.type not in PEOPLE
        and move.task.source in UNATTENDED
    )


def _new(task: Task, reason: str, now: datetime) -> DeadLetter:
    letter = DeadLetter(
        organization_id=task.organization_id, task=task, first_failed_at=now, created_at=now
    )
    return _describe(letter, task, reason, now)


def _describe(letter: DeadLetter, task: Task, reason: str, now: datetime) -> DeadLetter:
    letter.status = LetterStatus.OPEN
    letter.priority = task.priority
    letter.error_type, letter.last_error = task.error_kind, task.error
    letter.group = group_of(task.error_kind, task.error)
    letter.reason = reason
    letter.last_failed_at = letter.updated_at = now
    return letter


def _leave(moves: Sequence[Move], now: datetime) -> None:
    by_task = {move.task.pk: move for move in moves}
    left = list(DeadLetter.objects.filter(task__in=list(by_task), status=LetterStatus.OPEN))
    for letter in left:
        letter.status = LetterStatus.REDRIVEN
        letter.redrive_count += 1
        letter.redriven_by = str(by_task[letter.task_id].actor)[:255]
        letter.redriven_at = letter.updated_at = now
    batches.update(left, _REDRIVEN)
