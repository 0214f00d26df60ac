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
        from agents.operations import forks as agent_forks  # noqa: PLC0415 - models must be loaded first
        from agents.operations import overrides, registry, replays  # noqa: PLC0415 - the same
        from approvals.operations import decisions, requests  # noqa: PLC0415 - the same
        from breakers.operations import switches  # noqa: PLC0415 - models must be loaded first
        from cost.operations import budgets  # noqa: PLC0415 - the same
        from limits.operations import rules, standings  # noqa: PLC0415 - the same
        from tasks.operations import (  # noqa: PLC0415 - the same
            forks,
            records,
            suspensions,
            sweeps,
        )
        from tasks.operations.work import TaskWork  # noqa: PLC0415 - models must be loaded first
        from tasks.selectors import leased, tasks  # noqa: PLC0415 - models must be loaded first

        registry.WORK.append(TaskWork())
        agent_forks.BEGIN.append(forks.begin)
        replays.BEGIN.append(forks.begin_replay)
        budgets.RAISED.append(sweeps.wake_unpaid)
        budgets.THERE["task"] = tasks.has_task
        overrides.ENABLED.append(sweeps.wake_disabled)
        rules.RAISED.append(sweeps.wake_limited)
        standings.RUNNING.append(leased.count_leased)
        switches.LET_THROUGH.append(sweeps.wake_put_off)
        requests.TITLES.append(tasks.title_of)
        decisions.BEFORE.append(suspensions.lock_task)
        decisions.DECIDED.append(suspensions.go_on)
        records.MOVED.append(suspensions.take_back)
