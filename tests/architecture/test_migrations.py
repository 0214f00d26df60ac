"""Migrations: none is missing, they form a line, and old code survives the new schema.

A step that would break the code that still runs during a deploy needs a line `# safe: <why>` in
its migration.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from django.apps import apps
from django.db import migrations, models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models.fields import NOT_PROVIDED

from tests.architecture import house

REMOVALS = (
    migrations.RemoveField,
    migrations.RenameField,
    migrations.DeleteModel,
    migrations.RenameModel,
    migrations.AlterModelTable,
)


@cache
def loader() -> MigrationLoader:
    return MigrationLoader(None)


def danger(operation: Operation, *, first: bool) -> str:
    """What is dangerous in `operation`; empty when nothing is.

    `first` means that the app's tables are made by the same migration, so nothing uses them yet.
    """
    if isinstance(operation, migrations.RunPython) and operation.reverse_code is None:
        return "RunPython cannot be undone: give reverse_code"
    if isinstance(operation, migrations.RunSQL) and operation.reverse_sql is None:
        return "RunSQL cannot be undone: give reverse_sql"
    if first:
        return ""
    if isinstance(operation, REMOVALS):
        return f"{type(operation).__name__} breaks the code that still runs"
    if isinstance(operation, migrations.AddField) and inserts_would_fail(operation.field):
        return "AddField of a NOT NULL column without db_default: old code cannot insert"
    if type(operation) is migrations.AddIndex:
        return "AddIndex locks the table: use AddIndexConcurrently and atomic = False"
    return ""


def inserts_would_fail(field: "models.Field[Any, Any]") -> bool:
    return not field.many_to_many and not field.null and field.db_default is NOT_PROVIDED


def dangers() -> Iterator[tuple[str, str, str]]:
    for (app, name), migration in sorted(loader().disk_migrations.items()):
        if app not in house.local_apps():
            continue
        for operation in migration.operations:
            if found := danger(operation, first=bool(migration.initial)):
                yield app, name, found


def test_no_migration_is_missing() -> None:
    detector = MigrationAutodetector(loader().project_state(), ProjectState.from_apps(apps))

    changes = detector.changes(graph=loader().graph)

    assert {app for app in changes if app in house.local_apps()} == set()


@pytest.mark.parametrize("app", house.local_apps())
def test_migrations_form_a_line(app: str) -> None:
    leaves = [name for owner, name in loader().graph.leaf_nodes(app) if owner == app]
    recorded = house.ROOT / app / "migrations/max_migration.txt"

    assert leaves == ([recorded.read_text().strip()] if recorded.exists() else [])


def test_dangerous_steps_say_why_they_are_safe() -> None:
    found = list(dangers())

    unexplained = [
        (app, name, what)
        for app, name, what in found
        if (house.ROOT / app / f"migrations/{name}.py").read_text().count("# safe: ")
        < sum(1 for a, n, _ in found if (a, n) == (app, name))
    ]

    assert not unexplained


@pytest.mark.parametrize(
    ("operation", "dangerous"),
    [
        (migrations.RemoveField("task", "title"), True),
        (migrations.AddField("task", "title", models.TextField()), True),
        (migrations.AddField("task", "title", models.TextField(default="")), True),
        (migrations.AddField("task", "title", models.TextField(db_default="")), False),
        (migrations.AddField("task", "title", models.TextField(null=True)), False),
        (migrations.AddIndex("task", models.Index(fields=["title"], name="i")), True),
        (migrations.RunSQL("SELECT 1"), True),
        (migrations.RunSQL("SELECT 1", migrations.RunSQL.noop), False),
    ],
)
def test_dangers_are_told_apart(operation: Operation, *, dangerous: bool) -> None:
    assert bool(danger(operation, first=False)) is dangerous
