"""What tasks answer when an agent is stopped or deleted."""

from datetime import datetime

from agents.models import Agent
from kernel import jobs
from kernel.actors import Actor
from tasks.choices import AttemptOutcome, TaskStatus
from tasks.models import Task
from tasks.operations import endings, records


class TaskWork:
    """The tasks' side of `agents.operations.registry.Work`."""

    def is_running(self, *, agent: Agent) -> bool:
        """Whether a task of the agent is in progress."""
        return Task.objects.filter(agent=agent, status=TaskStatus.IN_PROGRESS).exists()

    def take_up(self) -> None:
        """Ring for what is assigned, and for what may find an agent now."""
        jobs.ring("tasks.claim_tasks")
        jobs.ring("tasks.sweep_tasks")

    def give_back(self, *, agent: Agent, actor: Actor, now: datetime) -> int:
        """Take the agent's running tasks from their workers; they wait for its next start."""
        running = list(
            Task.objects.select_for_update(no_key=True)
            .filter(agent=agent, status=TaskStatus.IN_PROGRESS)
            .order_by("pk")
        )
        for task in running:
            endings.fence_off(task, AttemptOutcome.RETURNED, now)
            endings.requeue(task, now)
            task.updated_at = now
            task.save()
            records.moved(task, TaskStatus.IN_PROGRESS, actor, now, {"reason": "agent stopped"})
        return len(running)
