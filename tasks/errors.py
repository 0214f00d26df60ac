"""How tasks refuse."""

from kernel.errors import Conflict, NotFound


class TaskNotFound(NotFound):
    """No such task in the caller's organization."""

    code = "task.not_found"
    message = "No such task. Check the id and your organization."


class TransitionRefused(Conflict):
    """The task's status does not lead to the one that was asked for."""

    code = "task.transition_refused"
    message = "The task cannot change to this status from its present one."


class TaskNotCancellable(Conflict):
    """The task ended before."""

    code = "task.not_cancellable"
    message = "The task has ended, so it cannot be cancelled."


class RetriesExhausted(Conflict):
    """Every retry that the task allows was made."""

    code = "task.retries_exhausted"
    message = (
        "The task has no retries left. Have an administrator retry its dead letter, which begins"
        " it anew, or create another task with a higher `max_retries`."
    )


class TaskNotFailed(Conflict):
    """Only a failed task begins anew."""

    code = "task.not_failed"
    message = "The task has not failed, so it cannot begin anew."


class TaskAwaitsApproval(Conflict):
    """People are asked about a call of the task: their decision lets it go on, and nothing else."""

    code = "task.awaits_approval"
    message = "People are asked about a call of this task. Decide that approval, or end the task."


class TaskFixed(Conflict):
    """What a running or ended task is about does not change any more."""

    code = "task.fixed"
    message = "Only tasks that wait can be changed. Create another one; cancel this if it runs."


class AgentFull(Conflict):
    """The agent works on as many tasks as its configuration allows."""

    code = "task.agent_full"
    message = "The agent has no free slot. Wait, or raise its `max_concurrent_tasks`."


class LeaseLost(Conflict):
    """The fencing token is out of date: another worker, a person or a sweep took the task over."""

    code = "task.lease_lost"
    message = "The lease on the task was lost."
