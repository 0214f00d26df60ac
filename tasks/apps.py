"""Registration of the tasks app."""

from django.apps import AppConfig

from kernel import permissions
from tasks.choices import PERMISSIONS


class TasksConfig(AppConfig):
    """Tasks and the attempts at them."""

    name = "tasks"

    def ready(self) -> None:
        """Let agents ask about their tasks, and breakers wake those that wait for them."""
        permissions.register(*PERMISSIONS)
        from agents.operations import registry  # noqa: PLC0415 - models must be loaded first
        from breakers.operations import switches  # noqa: PLC0415 - models must be loaded first
        from tasks.operations import sweeps  # noqa: PLC0415 - models must be loaded first
        from tasks.operations.work import TaskWork  # noqa: PLC0415 - models must be loaded first

        registry.WORK.append(TaskWork())
        switches.LET_THROUGH.append(sweeps.wake_put_off)
