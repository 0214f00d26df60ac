"""Vocabularies of tasks and the machine of their states (contract 003 B3)."""

from collections.abc import Mapping
from typing import Final

from django.db.models import IntegerChoices, TextChoices

from agents.choices import ExecutionSource
from kernel.permissions import Permission


class TaskStatus(TextChoices):
    """How a task stands."""

    PENDING = "pending", "Pending"
    QUEUED = "queued", "Queued"
    ASSIGNED = "assigned", "Assigned"
    IN_PROGRESS = "in_progress", "In progress"
    REVIEW = "review", "Review"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class TaskPriority(TextChoices):
    """How urgent a task is."""

    CRITICAL = "critical", "Critical"
    HIGH = "high", "High"
    MEDIUM = "medium", "Medium"
    LOW = "low", "Low"


class PriorityRank(IntegerChoices):
    """The order in which tasks are claimed; stored beside the priority so that an index has it."""

    CRITICAL = 0
    HIGH = 1
    MEDIUM = 2
    LOW = 3


class AttemptOutcome(TextChoices):
    """How one attempt ended."""

    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    TIMED_OUT = "timed_out", "Timed out"
    CANCELLED = "cancelled", "Cancelled"
    LOST = "lost", "Lost"
    RETURNED = "returned", "Returned"
    POSTPONED = "postponed", "Postponed"


class ReasonCode(TextChoices):
    """What holds a task, or what it does (`GET /tasks/{id}/explain`)."""

    RUNNING = "running", "Running"
    LEASE_LAPSED = "lease_lapsed", "Lease lapsed"
    NO_AGENT_FITS = "no_agent_fits", "No agent fits"
    WAITING_FOR_AGENT = "waiting_for_agent", "Waiting for agent"
    AGENT_LACKS_TOOLS = "agent_lacks_tools", "Agent lacks tools"
    AGENT_STOPPED = "agent_stopped", "Agent stopped"
    AGENT_DISABLED = "agent_disabled", "Agent disabled"
    AGENT_DELETED = "agent_deleted", "Agent deleted"
    AGENT_AT_LIMIT = "agent_at_limit", "Agent at limit"
    WAITING_FOR_RETRY = "waiting_for_retry", "Waiting for retry"
    CONCURRENCY_LIMIT = "concurrency_limit", "Concurrency limit"
    RATE_LIMIT = "rate_limit", "Rate limit"
    BREAKER_OPEN = "breaker_open", "Breaker open"
    BUDGET_EXHAUSTED = "budget_exhausted", "Budget exhausted"
    COST_UNPRICED = "cost_unpriced", "Cost unpriced"
    WAITING_FOR_APPROVAL = "waiting_for_approval", "Waiting for approval"
    DEADLINE = "deadline", "Deadline"
    WAITING_FOR_PLACE = "waiting_for_place", "Waiting for place"
    WAITING_FOR_WORKER = "waiting_for_worker", "Waiting for worker"
    NO_WORKER = "no_worker", "No worker"
    WAITING_FOR_PERSON = "waiting_for_person", "Waiting for person"
    ENDED = "ended", "Ended"


OPEN: Final = frozenset(
    {
        TaskStatus.PENDING,
        TaskStatus.QUEUED,
        TaskStatus.ASSIGNED,
        TaskStatus.IN_PROGRESS,
        TaskStatus.REVIEW,
    }
)
# Direct runs (`runs`): their door waits for the end.
AWAITED: Final = frozenset({ExecutionSource.REST, ExecutionSource.SSE})
# Why a run was cancelled that somebody waited for.
CALLER_GONE: Final = "caller_gone"
DEADLINE: Final = "deadline"
WAITING: Final = frozenset({TaskStatus.PENDING, TaskStatus.QUEUED, TaskStatus.ASSIGNED})

# From each status, where a person may send a task; only the hub itself fails one that waits, when
# its deadline passes.
TRANSITIONS: Final[Mapping[str, frozenset[str]]] = {
    TaskStatus.PENDING: frozenset({TaskStatus.QUEUED, TaskStatus.ASSIGNED, TaskStatus.CANCELLED}),
    TaskStatus.QUEUED: frozenset({TaskStatus.ASSIGNED, TaskStatus.CANCELLED}),
    TaskStatus.ASSIGNED: frozenset({TaskStatus.IN_PROGRESS, TaskStatus.CANCELLED}),
    TaskStatus.IN_PROGRESS: frozenset(
        {TaskStatus.REVIEW, TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED}
    ),
    TaskStatus.REVIEW: frozenset(
        {TaskStatus.COMPLETED, TaskStatus.IN_PROGRESS, TaskStatus.FAILED, TaskStatus.CANCELLED}
    ),
    TaskStatus.FAILED: frozenset({TaskStatus.PENDING}),
    TaskStatus.COMPLETED: frozenset(),
    TaskStatus.CANCELLED: frozenset(),
}


PERMISSIONS: Final = (
    Permission("task.read", "Tasks", "See tasks and their attempts.", reads=True),
    Permission("task.edit", "Tasks", "Make, change and cancel tasks."),
)
