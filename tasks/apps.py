"""Registration of the tasks app."""

from django.apps import AppConfig

from kernel import permissions
from tasks.choices import PERMISSIONS


class TasksConfig(AppConfig):
    """Tasks and the attempts at them."""

    name = "tasks"

    def ready(self) -> None:
        """Let agents ask about their tasks, and wake those that wait for what others decide."""
        permissions.register(*PERMISSIONS)
        from agents.operations import registry  # noqa: PLC0415 - models must be loaded first
        from approvals.operations import decisions, requests  # noqa: PLC0415 - the same
        from breakers.operations import switches  # noqa: PLC0415 - models must be loaded first
        from cost.operations import budgets  # noqa: PLC0415 - the same
        from tasks.operations import records, suspensions, sweeps  # noqa: PLC0415 - the same
        from tasks.operations.work import TaskWork  # noqa: PLC0415 - models must be loaded first
        from tasks.selectors import tasks  # noqa: PLC0415 - models must be loaded first

        registry.WORK.append(TaskWork())
        budgets.RAISED.append(sweeps.wake_unpaid)
        switches.LET_THROUGH.append(sweeps.wake_put_off)
        requests.TASKS.append(tasks.has_task)
        decisions.BEFORE.append(suspensions.lock_task)
        decisions.DECIDED.append(suspensions.go_on)
        records.MOVED.append(suspensions.take_back)
