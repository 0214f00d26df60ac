"""Registration of the tasks app."""

from django.apps import AppConfig

from kernel import permissions
from tasks.choices import PERMISSIONS


class TasksConfig(AppConfig):
    """Tasks and the attempts at them."""

    name = "tasks"

    def ready(self) -> None:
        """Let agents ask about their tasks."""
        permissions.register(*PERMISSIONS)
        from agents.operations import registry  # noqa: PLC0415 - models must be loaded first
        from tasks.operations.work import TaskWork  # noqa: PLC0415 - models must be loaded first

        registry.WORK.append(TaskWork())
