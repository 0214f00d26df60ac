"""Why a task does not run, or what it does: as far as the database can tell."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import Case, Count, Q, Value, When

from agents.choices import AgentKind, AgentStatus
from agents.models import Agent, AgentExecution
from agents.runtime.spec import FailureKind
from agents.selectors import disabling_override, list_disabling, overriding_provider
from breakers.selectors import list_breakers
from cost.models import Budget
from cost.selectors import periods
from limits.choices import LimitScope
from limits.selectors import find_rules, list_limits
from tasks.choices import CALLER_GONE, DEADLINE, ReasonCode, TaskStatus
from tasks.models import Task, TaskAttempt
from tasks.selectors.called import explain_called
from tasks.selectors.leased import count_leased
from tasks.selectors.reasons import Reason
from tasks.selectors.reviews import explain_review

CANDIDATES: Final = 10
READY: Final = (AgentStatus.IDLE, AgentStatus.BUSY)
# Longer than a lost doorbell takes: the sweep rings every five seconds.
UNCLAIMED: Final = timedelta(seconds=10)
DEADLINE_NEAR: Final = timedelta(minutes=5)
SUMMARIES: Final = {
    ReasonCode.RUNNING: "The task is running.",
    ReasonCode.LEASE_LAPSED: "The task waits to be taken from a worker that went silent.",
    ReasonCode.NO_AGENT_FITS: "The task waits for an agent that can take it.",
    ReasonCode.WAITING_FOR_AGENT: "The task is about to be given to an agent.",
    ReasonCode.AGENT_DELETED: "The task waits for another agent, because its own was deleted.",
    ReasonCode.AGENT_STOPPED: "The task waits for its agent to be started.",
    ReasonCode.AGENT_DISABLED: "The task waits until somebody enables an agent.",
    ReasonCode.AGENT_AT_LIMIT: "The task waits for a free slot of its agent.",
    ReasonCode.WAITING_FOR_RETRY: "The task waits for its next retry.",
    ReasonCode.CONCURRENCY_LIMIT: "The task waits for others that count for the same limit.",
    ReasonCode.RATE_LIMIT: "The task waits for a limit of model calls a minute.",
    ReasonCode.BREAKER_OPEN: "The task waits for a circuit breaker to close.",
    ReasonCode.BUDGET_EXHAUSTED: "The task waits for a budget.",
    ReasonCode.COST_UNPRICED: "The task waits for the price of its model.",
    ReasonCode.WAITING_FOR_APPROVAL: "The task waits until people allow a call.",
    ReasonCode.DEADLINE: "The task is too late to run.",
    ReasonCode.WAITING_FOR_WORKER: "The task waits for a worker to claim it.",
    ReasonCode.NO_WORKER: "The task waits for a worker, and there seems to be none.",
    ReasonCode.WAITING_FOR_PERSON: "The task waits for a person.",
    ReasonCode.ENDED: "The task has ended.",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """The reasons of one task, the decisive one first."""

    task_id: UUID
    status: str
    reasons: list[Reason]

    @property
    def summary(self) -> str:
        """One sentence."""
        return SUMMARIES[self.reasons[0].code]


def explain_task(*, task: Task, now: datetime) -> Explanation:
    """Why `task` stands as it does, in eight queries at most; looks only into its organization.

    The one exception is whether any worker of the hub is alive: workers serve all organizations.
    """
    if task.status == TaskStatus.REVIEW:
        reasons = explain_review(task=task)
    elif task.status == TaskStatus.IN_PROGRESS:
        running = _running(task, now)
        below = explain_called(task=task, now=now) if running.code == ReasonCode.RUNNING else []
        reasons = [running, *below, *_near_deadline(task, now)]
    elif task.status in {TaskStatus.PENDING, TaskStatus.QUEUED, TaskStatus.ASSIGNED}:
        reasons = [*_waiting(task, now), *_near_deadline(task, now)]
    else:
        reasons = [_ended(task)]
    return Explanation(task_id=task.pk, status=task.status, reasons=reasons)


def _ended(task: Task) -> Reason:
    told = {
        TaskStatus.COMPLETED.value: "The task was completed.",
        TaskStatus.CANCELLED.value: f"The task was cancelled. {_why_cancelled(task)}".rstrip(),
    }
    message = told.get(task.status, f"The task failed. {task.error}".rstrip())
    return Reason(ReasonCode.ENDED, message, "task", task.pk, since=task.completed_at)


def _running(task: Task, now: datetime) -> Reason:
    attempt = TaskAttempt.objects.filter(task=task, finished_at=None).order_by("-number").first()
    if attempt is None:
        message = "A person works on the task by hand."
        return Reason(ReasonCode.RUNNING, message, "task", task.pk, since=task.updated_at)
    run = AgentExecution.objects.filter(attempt_id=attempt.pk).values_list("pk", flat=True).first()
    lease = task.lease_expires_at
    code, since, until = ReasonCode.RUNNING, attempt.created_at, lease
    message = f"Worker {attempt.worker} runs attempt {attempt.number}."
    if lease is not None and lease <= now:
        code, since, until = ReasonCode.LEASE_LAPSED, lease, None
        message = (
            f"Worker {attempt.worker} no longer renews its lease on attempt {attempt.number}."
            " The next sweep takes the task back; if that does not happen, start a worker."
        )
    if run is None:
        return Reason(code, message, "task", task.pk, since=since, until=until)
    return Reason(code, message, "execution", run, since=since, until=until)


def _why_cancelled(task: Task) -> str:
    # Of one that a person cancelled, the error is what it waited for till then.
    return task.error if task.error_kind in {CALLER_GONE, DEADLINE} else ""


def _waiting(task: Task, now: datetime) -> list[Reason]:
    held = list(_overdue(task, now))
    agent = (
        Agent.objects.filter(organization_id=task.organization_id, pk=task.agent_id)
        .select_related("current_version")
        .annotate(disabled_by=disabling_override(), overridden_provider=overriding_provider())
        .first()
        if task.agent_id
        else None
    )
    if agent is None:
        return [*held, *_without_agent(task)]
    held += [*_held_by_agent(agent), *_backoff(task, agent, now), *_full(agent)]
    held += _at_limits(task, agent)
    return held or [_unclaimed(task, agent, now)]


def _overdue(task: Task, now: datetime) -> Iterator[Reason]:
    if task.deadline is not None and task.deadline <= now:
        message = "The deadline has passed, so the next sweep lets the task fail."
        yield Reason(ReasonCode.DEADLINE, message, "task", task.pk, since=task.deadline)


def _near_deadline(task: Task, now: datetime) -> Iterator[Reason]:
    if task.deadline is not None and now < task.deadline <= now + DEADLINE_NEAR:
        message = "The deadline is near. What has not ended by then fails."
        yield Reason(ReasonCode.DEADLINE, message, "task", task.pk, until=task.deadline)


def _held_by_agent(agent: Agent) -> Iterator[Reason]:
    if agent.deleted_at is not None:
        message = f"Agent {agent.name} was deleted. The next sweep frees the task for another."
        yield Reason(ReasonCode.AGENT_DELETED, message, "agent", agent.pk, since=agent.deleted_at)
    elif not _is_started(agent):
        yield _stopped(agent)
    elif refusal := _disabled(agent):
        yield refusal


def _backoff(task: Task, agent: Agent, now: datetime) -> Iterator[Reason]:
    if task.available_at <= now:
        return
    if task.error_kind == FailureKind.BREAKER_OPEN:
        yield _kept_by_breaker(task)
    elif task.error_kind == FailureKind.BUDGET_EXHAUSTED:
        yield _kept_by_budget(task, now)
    elif task.error_kind == FailureKind.COST_UNPRICED:
        # However often it looks: until somebody sets the price.
        yield Reason(ReasonCode.COST_UNPRICED, task.error, "price", task.pk)
    elif task.error_kind == FailureKind.RATE_LIMIT:
        yield _kept_by_rate(task)
    elif task.error_kind == FailureKind.AGENT_DISABLED:
        yield from _kept_by_override(task, agent)
    else:
        message = f"The last attempt failed. {task.error}" if task.error else "It is not time yet."
        yield _retried(task, message)


def _retried(task: Task, message: str) -> Reason:
    reason = Reason(ReasonCode.WAITING_FOR_RETRY, message, "task", task.pk, until=task.available_at)
    run = task.resumes_execution_id
    return reason if run is None else replace(reason, kind="execution", id=run)


def _kept_by_override(task: Task, agent: Agent) -> Iterator[Reason]:
    # It may be that of an agent which its own agent called.
    held, own = _held_by(task), _disabling(agent)
    if own is not None and held in {own, None}:
        return  # that is said of the agent itself
    told = Reason(ReasonCode.AGENT_DISABLED, task.error, "task", task.pk, until=task.available_at)
    if held is None:  # the task was changed since
        yield told
    elif list_disabling(organization_id=task.organization_id).filter(pk=held).exists():
        yield replace(told, kind="override", id=held)
    else:
        yield _retried(task, "The agent that it waited for is enabled again.")


def _kept_by_breaker(task: Task) -> Reason:
    # By what the reason names: an override, or an agent that was called, has a provider of its own.
    breakers = list_breakers(organization_id=task.organization_id).values_list("pk", "name")
    found = next((pk for pk, name in breakers if f" {name} " in task.error), None)
    reason = Reason(ReasonCode.BREAKER_OPEN, task.error, "task", task.pk, until=task.available_at)
    return replace(reason, kind="breaker", id=found) if found else reason


def _kept_by_budget(task: Task, now: datetime) -> Reason:
    code, held = ReasonCode.BUDGET_EXHAUSTED, _held_by(task)
    budgets = Budget.objects.filter(organization_id=task.organization_id, pk__in=[held])
    period = budgets.values_list("period", flat=True).first() if held else None
    if held is None or period is None:  # budgets changed at that moment, or since
        return Reason(code, task.error, "agent", task.agent_id or task.pk, until=task.available_at)
    # It looks again before: somebody may raise it.
    until = periods.reset_of(periods.bounds(period=period, now=now)[1])
    return Reason(code, task.error, "budget", held, until=until)


def _kept_by_rate(task: Task) -> Reason:
    code, until, rule = ReasonCode.RATE_LIMIT, task.available_at, _held_by(task)
    if rule is None or not list_limits(organization_id=task.organization_id).filter(pk=rule):
        return Reason(code, task.error, "task", task.pk, until=until)  # it was deleted
    return Reason(code, task.error, "limit", rule, until=until)


def _held_by(task: Task) -> UUID | None:
    """What the last run stopped for."""
    runs = AgentExecution.objects.filter(organization_id=task.organization_id)
    held = runs.filter(pk__in=[task.resumes_execution_id]).values_list("held_by", flat=True)
    return held.first()


def _at_limits(task: Task, agent: Agent) -> Iterator[Reason]:
    """The rules that are full for it."""
    version = agent.current_version
    if task.pinned_version is not None and task.pinned_version.agent_id == agent.pk:
        version = task.pinned_version
    provider = version.llm_provider if version else ""
    overridden: str | None = agent.overridden_provider  # type: ignore[attr-defined]  # read along
    provider = provider if overridden is None else overridden
    buckets = [
        (LimitScope.AGENT.value, str(agent.pk)),
        (LimitScope.PROVIDER.value, provider),
        (LimitScope.KEY.value, task.concurrency_key),
    ]
    rules = find_rules(organization_id=task.organization_id, buckets=buckets)
    if all(rule.max_concurrent is None for rule in rules.values()):
        return
    used = count_leased(task.organization_id)
    for bucket, rule in rules.items():
        if rule.max_concurrent is not None and used[bucket] >= rule.max_concurrent:
            name = agent.name if bucket[0] == LimitScope.AGENT else bucket[1]
            whose = f"{LimitScope(bucket[0]).label} {name}"
            message = f"{whose} has {used[bucket]} of {rule.max_concurrent} tasks at once."
            yield Reason(ReasonCode.CONCURRENCY_LIMIT, message, "limit", rule.pk)


def _full(agent: Agent) -> Iterator[Reason]:
    running = Task.objects.filter(agent=agent, status=TaskStatus.IN_PROGRESS).count()
    if running >= _limit(agent):
        yield _at_limit(agent, running)


def _unclaimed(task: Task, agent: Agent, now: datetime) -> Reason:
    # The agent's row changes whenever one of its runs ends, which is when a slot becomes free.
    since = max(task.available_at, task.updated_at, agent.updated_at)
    if now - since <= UNCLAIMED:
        message = "Any worker may claim the task now. That takes a moment."
    elif Task.objects.filter(status=TaskStatus.IN_PROGRESS, lease_expires_at__gt=now).exists():
        message = (
            "Workers are at work, but none has claimed the task: they are full, or what is more"
            " urgent goes first. Start another worker, or raise HUB_WORKER_RUNS."
        )
    else:
        message = (
            "No worker has claimed the task, and none works on any other. An idle worker leaves no"
            " trace, so look whether one runs and reaches Redis; `manage.py worker` starts one."
        )
        return Reason(ReasonCode.NO_WORKER, message, "task", task.pk, since=since)
    return Reason(ReasonCode.WAITING_FOR_WORKER, message, "task", task.pk, since=since)


def _without_agent(task: Task) -> list[Reason]:
    agents = _candidates(task)
    load = dict(
        Task.objects.filter(
            Q(status=TaskStatus.IN_PROGRESS) | Q(status=TaskStatus.ASSIGNED), agent__in=agents
        )
        .order_by()
        .values_list("agent_id")
        .annotate(count=Count("pk"))
    )
    refusals: list[Reason] = []
    for agent in agents:
        refusal = _refusal(agent, task, load.get(agent.pk, 0))
        if refusal is None:
            message = f"Agent {agent.name} fits. The next sweep gives it the task."
            return [Reason(ReasonCode.WAITING_FOR_AGENT, message, "agent", agent.pk)]
        refusals.append(refusal)
    message = _nobody(refusals, task)
    headline = Reason(ReasonCode.NO_AGENT_FITS, message, "task", task.pk, since=task.created_at)
    return [headline, *refusals]


def _candidates(task: Task) -> list[Agent]:
    """Those that come closest: with the tools before without, started before stopped."""
    tools = Q(current_version__enabled_tools__contains=task.required_tools)
    banned = Q(current_version__tool_blacklist__overlap=task.required_tools)
    started = Q(is_active=True, status__in=READY)
    return list(
        Agent.objects.alive()
        .filter(organization_id=task.organization_id, kind=AgentKind.HOSTED)
        .select_related("current_version")
        .annotate(
            able=Case(When(tools & ~banned, then=Value(1)), default=Value(0)),
            started=Case(When(started, then=Value(1)), default=Value(0)),
            disabled_by=disabling_override(),
        )
        .order_by("-able", "-started", "pk")[:CANDIDATES]
    )


def _refusal(agent: Agent, task: Task, load: int) -> Reason | None:
    """Why the agent cannot take the task; None if it can."""
    if lacking := _lacking(agent, task):
        message = f"Agent {agent.name} may not use: {', '.join(lacking)}."
        return Reason(ReasonCode.AGENT_LACKS_TOOLS, message, "agent", agent.pk)
    if not _is_started(agent):
        return _stopped(agent)
    if refusal := _disabled(agent):
        return refusal
    return _at_limit(agent, load) if load >= _limit(agent) else None


def _nobody(refusals: list[Reason], task: Task) -> str:
    if not refusals:
        return "There is no agent. Create one and start it."
    closest = refusals[0].code
    if closest == ReasonCode.AGENT_LACKS_TOOLS:
        return f"No agent may use all of: {', '.join(task.required_tools)}. Enable them for one."
    if closest == ReasonCode.AGENT_STOPPED:
        return "No agent that has the tools is started. Start one."
    if closest == ReasonCode.AGENT_DISABLED:
        return "An override disables each agent that has the tools. Enable one."
    return "The started agents that have the tools are at their limit. Wait, or raise it for one."


def _is_started(agent: Agent) -> bool:
    return agent.is_active and agent.status in READY


def _limit(agent: Agent) -> int:
    return agent.current_version.max_concurrent_tasks if agent.current_version else 0


def _lacking(agent: Agent, task: Task) -> list[str]:
    usable = agent.current_version.usable_tools if agent.current_version else ()
    return [tool for tool in task.required_tools if tool not in usable]


def _stopped(agent: Agent) -> Reason:
    message = f"Agent {agent.name} is {agent.status}. Start it."
    return Reason(ReasonCode.AGENT_STOPPED, message, "agent", agent.pk, since=agent.last_active_at)


def _disabling(agent: Agent) -> UUID | None:
    override: UUID | None = agent.disabled_by  # type: ignore[attr-defined]  # read along
    return override


def _disabled(agent: Agent) -> Reason | None:
    override = _disabling(agent)
    if override is None:
        return None
    message = f"An override disables agent {agent.name}. Have an administrator enable it."
    return Reason(ReasonCode.AGENT_DISABLED, message, "override", override)


def _at_limit(agent: Agent, taken: int) -> Reason:
    message = f"Agent {agent.name} has {taken} of {_limit(agent)} tasks at once."
    return Reason(ReasonCode.AGENT_AT_LIMIT, message, "agent", agent.pk)
