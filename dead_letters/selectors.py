"""Questions about dead letters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import Count, Max, Min, Q, QuerySet

from dead_letters.choices import TRANSIENT, LetterStatus
from dead_letters.errors import LetterNotFound
from dead_letters.models import DeadLetter
from tasks.choices import TaskPriority

GROUPS: Final = 100


def list_letters(*, organization_id: UUID) -> QuerySet[DeadLetter]:
    """The organization's open ones with their tasks, the latest failure first."""
    return (
        DeadLetter.objects.filter(organization_id=organization_id, status=LetterStatus.OPEN)
        .select_related("task")
        .order_by("-last_failed_at", "-pk")
    )


def get_letter(*, organization_id: UUID, task_id: UUID) -> DeadLetter:
    """The letter of a task, unless it was removed; raises LetterNotFound."""
    rows = DeadLetter.objects.filter(organization_id=organization_id, task_id=task_id)
    letter = rows.exclude(status=LetterStatus.REMOVED).select_related("task").first()
    if letter is None:
        raise LetterNotFound
    return letter


def count_letters(*, organization_id: UUID) -> Mapping[str, object]:
    """`{total, retryable, by_priority, oldest_entry}` of the open ones.

    `retryable`: those whose last failure may pass by itself; all of them can be retried.
    """
    by_priority = dict.fromkeys(TaskPriority.values, 0)
    retryable, oldest = 0, None
    rows = (
        DeadLetter.objects.filter(organization_id=organization_id, status=LetterStatus.OPEN)
        .order_by()
        .values_list("priority")
        .annotate(
            count=Count("pk"),
            transient=Count("pk", filter=Q(error_type__in=TRANSIENT)),
            oldest=Min("first_failed_at"),
        )
    )
    for priority, count, transient, first in rows:
        by_priority[priority] += count
        retryable += transient
        oldest = min(first, oldest or first)
    return {
        "total": sum(by_priority.values()),
        "retryable": retryable,
        "by_priority": by_priority,
        "oldest_entry": oldest,
    }


@dataclass(frozen=True, slots=True)
class Group:
    """Open letters whose failures look alike; `error` is that of one of them."""

    group: str
    error_type: str
    error: str
    count: int
    first_failed_at: datetime
    last_failed_at: datetime


def list_groups(*, organization_id: UUID) -> Sequence[Group]:
    """The hundred largest groups of the open ones, the largest first."""
    rows = (
        DeadLetter.objects.filter(organization_id=organization_id, status=LetterStatus.OPEN)
        .order_by()
        .values("group", "error_type")
        .annotate(
            error=Max("last_error"),
            count=Count("pk"),
            first=Min("first_failed_at"),
            last=Max("last_failed_at"),
        )
        .order_by("-count", "group", "error_type")[:GROUPS]
    )
    return [
        Group(
            row["group"], row["error_type"], row["error"], row["count"], row["first"], row["last"]
        )
        for row in rows
    ]


def list_newest(
    *, organization_id: UUID, groups: Sequence[Group]
) -> list[tuple[Group, DeadLetter]]:
    """Each of `groups` with its letter that failed last, in one query."""
    rows = list_letters(organization_id=organization_id).filter(
        group__in=[each.group for each in groups]
    )
    newest = rows.order_by("group", "error_type", "-last_failed_at", "-pk")
    found = {(x.group, x.error_type): x for x in newest.distinct("group", "error_type")}
    pairs = ((each, found.get((each.group, each.error_type))) for each in groups)
    return [(group, letter) for group, letter in pairs if letter is not None]
