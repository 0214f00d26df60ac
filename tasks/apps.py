"""Registration of the tasks app."""

from django.apps import AppConfig


class TasksConfig(AppConfig):
    """Tasks and the attempts at them."""

    name = "tasks"

    def ready(self) -> None:
        """Let agents ask about their tasks."""
        from agents.operations import registry
        from tasks.operations.work import TaskWork

        registry.WORK.append(TaskWork())
