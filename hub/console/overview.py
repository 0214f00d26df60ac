"""What the front page shows of one organization, in a fixed number of bounded queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum

from agents.choices import AgentStatus
from agents.models import Agent, AgentExecution
from agents.operations import catalogue
from agents.runtime.providers import DEMO, available
from agents.selectors import disabling_override
from audit.models import AuditEvent
from audit.selectors.chain import SEALED_WITHIN
from cost.models import UsageRecord
from dead_letters.selectors import list_letters
from preferences.selectors import values
from preferences.selectors.values import Values
from tasks.choices import TaskStatus
from tasks.models import Task

# Nothing here reads more rows than this, whatever the history; a figure that hits it says so.
WINDOW: Final = 10_000
LEDGER_WINDOW: Final = 50_000
LATEST: Final = 500
LISTED: Final = 8
DAYS: Final = 7
WORKER_WITHIN: Final = timedelta(seconds=10)
# Each arm is the condition of a partial index of `Task`.
UNFINISHED: Final = (
    Q(status=TaskStatus.ASSIGNED)
    | Q(status=TaskStatus.IN_PROGRESS)
    | Q(status__in=[TaskStatus.PENDING, TaskStatus.QUEUED])
    | Q(status=TaskStatus.REVIEW)
)
ENDED: Final = (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED)


@dataclass(frozen=True, slots=True)
class Tally:
    """Rows by status, those that occur. Capped: there are more than were counted."""

    counts: Sequence[tuple[str, str, int]]
    is_capped: bool


@dataclass(frozen=True, slots=True)
class Day:
    """What one day (ending at this time of day) cost; `share` is the percentage of the dearest."""

    ends_at: datetime
    cost_usd: Decimal
    share: int


@dataclass(frozen=True, slots=True)
class Spend:
    """The last seven days. With `is_lower_bound` calls are left out, or have no known price."""

    days: Sequence[Day]
    cost_usd: Decimal
    calls: int
    unpriced_calls: int
    is_lower_bound: bool


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that keeps the hub from its work, and what to do."""

    title: str
    advice: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The front page. `agents` are those that no override disables."""

    announcement: str
    open_now: Tally
    today: Tally
    needs_person: Sequence[Task]
    running: Sequence[Task]
    finished: Sequence[Task]
    spend: Spend
    agents: Tally
    disabled: int
    warnings: Sequence[Warned]


def get_overview(*, organization_id: UUID, now: datetime) -> Overview:
    """The organization's state now: at most fourteen queries, none of which grows with history."""
    settings = values.read(organization_id=organization_id)
    alive = Agent.objects.alive().filter(organization_id=organization_id)
    agents = alive.annotate(disabled_by=disabling_override())
    running = list(
        Task.objects.filter(organization_id=organization_id, status=TaskStatus.IN_PROGRESS)
        .select_related("agent")
        .order_by("started_at", "pk")[:LISTED]
    )
    today = _recent(organization_id).filter(created_at__gte=now - timedelta(days=1))
    # As values: given the query instead, PostgreSQL would read every task of the organization.
    latest = Task.objects.filter(organization_id=organization_id, pk__in=_latest(organization_id))
    return Overview(
        announcement=settings["general.announcement"],
        open_now=_open_now(organization_id),
        today=_tally(today, TaskStatus),
        needs_person=_needs_person(organization_id),
        running=running,
        finished=_listed(latest, ENDED, "-completed_at"),
        spend=_spend(organization_id, now),
        agents=_tally(agents.filter(disabled_by=None), AgentStatus),
        disabled=agents.exclude(disabled_by=None)[:WINDOW].count(),
        warnings=[
            *_offline_provider(organization_id, settings),
            *_no_worker(organization_id, is_idle=not running, now=now),
            *_unsealed_audit(organization_id, now),
        ],
    )


def _recent(organization_id: UUID) -> QuerySet[Task]:
    rows = Task.objects.filter(organization_id=organization_id)
    return rows.order_by("-created_at", "-pk")


def _open_now(organization_id: UUID) -> Tally:
    rows = Task.objects.filter(UNFINISHED, organization_id=organization_id)
    return _tally(rows.order_by(), TaskStatus)


def _tally(
    rows: QuerySet[Task] | QuerySet[Agent], statuses: type[TaskStatus] | type[AgentStatus]
) -> Tally:
    wanted: Mapping[str, Count] = {
        value: Count("pk", filter=Q(status=value)) for value in statuses.values
    }
    found = rows[:WINDOW].aggregate(**wanted)
    counts = [
        (value, str(label), found[value]) for value, label in statuses.choices if found[value]
    ]
    return Tally(counts, sum(found.values()) >= WINDOW)


def _latest(organization_id: UUID) -> set[UUID]:
    """The tasks that ran or were made last: a long backlog must not hide what comes out of it."""
    runs = AgentExecution.objects.filter(organization_id=organization_id, attempt_id__isnull=False)
    ran = runs.order_by("-created_at", "-pk").values_list("task_id", flat=True)[:LATEST]
    made = _recent(organization_id).values_list("pk", flat=True)[:LATEST]
    return {pk for pk in ran.union(made) if pk is not None}


def _listed(tasks: QuerySet[Task], statuses: Sequence[str], order: str) -> list[Task]:
    found = tasks.filter(status__in=statuses).select_related("agent")
    return list(found.order_by(order, "-pk")[:LISTED])


def _needs_person(organization_id: UUID) -> list[Task]:
    """What is up for review, and then what failed for good. Who asked for a direct run was told."""
    rows = Task.objects.filter(organization_id=organization_id).select_related("agent")
    review = list(rows.filter(status=TaskStatus.REVIEW).order_by("-created_at", "-pk")[:LISTED])
    letters = list_letters(organization_id=organization_id).select_related("task__agent")
    return [*review, *(letter.task for letter in letters[: LISTED - len(review)])]


def _spend(organization_id: UUID, now: datetime) -> Spend:
    ends = [now - timedelta(days=back) for back in reversed(range(DAYS))]
    rows = UsageRecord.objects.filter(
        organization_id=organization_id, occurred_at__gt=now - timedelta(days=DAYS)
    ).order_by("-occurred_at", "-pk")
    found = rows[:LEDGER_WINDOW].aggregate(
        calls=Count("pk"),
        unpriced=Count("pk", filter=Q(is_priced=False)),
        **{
            f"day_{number}": Sum(
                "cost_usd",
                filter=Q(occurred_at__gt=end - timedelta(days=1), occurred_at__lte=end),
                default=Decimal(0),
            )
            for number, end in enumerate(ends)
        },
    )
    costs = [found[f"day_{number}"] for number in range(DAYS)]
    dearest = max(costs)
    return Spend(
        days=[
            Day(end, cost, int(100 * cost / dearest) if dearest else 0)
            for end, cost in zip(ends, costs, strict=True)
        ],
        cost_usd=sum(costs, Decimal(0)),
        calls=found["calls"],
        unpriced_calls=found["unpriced"],
        is_lower_bound=found["calls"] >= LEDGER_WINDOW or found["unpriced"] > 0,
    )


def _offline_provider(organization_id: UUID, settings: Values) -> list[Warned]:
    agents = Agent.objects.alive().filter(
        organization_id=organization_id, current_version__llm_provider=DEMO
    )
    names = list(agents.order_by("name").values_list("name", flat=True)[: LISTED + 1])
    if available(catalogue.providers_of(settings)) == [DEMO]:
        return [
            Warned(
                "No model provider is configured.",
                "Agents of the demo provider work offline by fixed rules: an honest stand-in, not a"
                " language model. Set a provider's key in the settings, and give the agents that"
                " provider.",
            )
        ]
    if names:
        shown = ", ".join(names[:LISTED]) + (" and more" if len(names) > LISTED else "")
        return [
            Warned(
                f"On the demo provider: {shown}.",
                "It works offline by fixed rules and is not a language model. Give these agents"
                " a configured provider.",
            )
        ]
    return []


def _no_worker(organization_id: UUID, *, is_idle: bool, now: datetime) -> list[Warned]:
    waits = Task.objects.filter(
        organization_id=organization_id,
        status=TaskStatus.ASSIGNED,
        available_at__lt=now - WORKER_WITHIN,
        agent__is_active=True,
    )
    if waits.exists() and is_idle:
        return [
            Warned(
                "No worker takes tasks.",
                "Tasks of started agents wait for more than ten seconds and nothing runs. Check"
                " that `manage.py worker` runs and reaches Redis and the database.",
            )
        ]
    return []


def _unsealed_audit(organization_id: UUID, now: datetime) -> list[Warned]:
    overdue = AuditEvent.objects.filter(
        organization_id=organization_id, position=None, occurred_at__lt=now - SEALED_WITHIN
    )
    if overdue.exists():
        return [
            Warned(
                "The audit chain is not sealed.",
                "Events older than a minute have no place in the chain yet. Check that a worker"
                " and `manage.py scheduler` run.",
            )
        ]
    return []
