"""Celery tasks: names are permanent, and whoever rings rings a bell that exists."""

import ast

from hub.celery import app
from tests.architecture import house


def registered() -> dict[str, str]:
    """The names that every process knows after django.setup, each with its declaring module."""
    return {
        name: task.run.__module__
        for name, task in app.tasks.items()
        if task.run.__module__.split(".")[0] in house.local_apps()
    }


def literal_calls(*names: str) -> list[tuple[str, str]]:
    """(place, first argument) of every call of `x.<name>("…")` or `<name>("…")` in the apps."""
    return [
        (f"{path}:{node.lineno}", node.args[0].value)
        for path in house.sources()
        for node in ast.walk(house.tree(path))
        if isinstance(node, ast.Call)
        and (
            node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        )
        in names
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]


def test_task_names_start_with_their_app() -> None:
    tasks = registered()

    astray = {n: m for n, m in tasks.items() if n.split(".")[0] != m.split(".")[0]}

    assert tasks
    assert not astray


def test_task_names_are_declared_once() -> None:
    names = [name for _, name in literal_calls("job")]

    assert sorted(names) == sorted(set(names))


def test_every_declared_job_is_registered() -> None:
    assert {name for _, name in literal_calls("job")} == set(registered())


def test_every_bell_that_is_rung_exists() -> None:
    rung = literal_calls("enqueue", "ring")

    assert not [place_and_name for place_and_name in rung if place_and_name[1] not in registered()]
