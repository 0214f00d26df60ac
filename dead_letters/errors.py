"""How dead letters refuse."""

from kernel.errors import Conflict, NotFound


class LetterNotFound(NotFound):
    """The task is none of the organization's, or never was a dead letter."""

    code = "dead_letter.not_found"
    message = "No such dead letter. GET /api/v1/dead-letter lists them; the id is the task's."


class AlreadyRedriven(Conflict):
    """Somebody put the task back to work before."""

    code = "dead_letter.already_redriven"
    message = "The task is back at work already. GET /api/v1/tasks/{id} shows how it stands."


class AlreadyDead(Conflict):
    """The task is among the dead letters."""

    code = "dead_letter.already_there"
    message = "The task is a dead letter already. Retry or remove it."


class TaskNotDead(Conflict):
    """Only what failed is dead, or what somebody gives up with a reason."""

    code = "dead_letter.task_not_failed"
    message = "The task has not failed. Send a `reason` to give up one that has not ended."
