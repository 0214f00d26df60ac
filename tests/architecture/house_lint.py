"""Rules of this house that no ready-made linter knows.

`samples/` holds a file per rule in which each refused line says so.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.house import FRAME

Rule = Callable[[ast.AST], bool]
CLOCKS = {"timezone.now", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
SIGNALS = {"django.dispatch", "django.db.models.signals"}
MANAGER_WRITES = {"create", "bulk_create", "bulk_update", "get_or_create", "update_or_create"}
DOOR_ROOMS = {"views", "tasks", "admin", "management", "permissions"}
ENVIRONMENT_READERS = {"hub/env.py", "hub/celery.py", "hub/wsgi.py", "hub/asgi.py", "manage.py"}
# These neither reach the database nor may import a model; `create` and `update` are other people's.
WITHOUT_ORM = {"runtime", "clients"}


@dataclass(frozen=True, slots=True)
class Breach:
    """A line that breaks a rule."""

    rule: str
    path: str
    line: int


def broken(path: Path, tree: ast.Module) -> Iterator[Breach]:
    """Every breach in the file that stands at `path`, relative to the project's root."""
    for name, (refuses, allows) in RULES.items():
        if allows(path):
            continue
        for node in (
            _outside_querysets(tree) if name == "write-outside-operations" else ast.walk(tree)
        ):
            if refuses(node):
                yield Breach(name, path.as_posix(), getattr(node, "lineno", 0))


def _room(path: Path) -> str:
    """The room of a domain app that the file belongs to; empty in kernel, hub and the root."""
    if path.parts[0] in FRAME or len(path.parts) < 2:
        return ""
    return path.with_suffix("").parts[1]


def _outside_querysets(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those inside QuerySet and Manager classes, which are what operations call."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef) and any(
            word in ast.unparse(base) for base in child.bases for word in ("QuerySet", "Manager")
        ):
            continue
        yield child
        yield from _outside_querysets(child)


def _called(node: ast.AST) -> str:
    """The dotted name that `node` calls, as far as it is written; empty when it is no call."""
    return ast.unparse(node.func) if isinstance(node, ast.Call) else ""


def _last(node: ast.AST, parts: int = 1) -> str:
    return ".".join(_called(node).split(".")[-parts:])


def _sends_celery_message(node: ast.AST) -> bool:
    return "." in _called(node) and _last(node) in {"delay", "apply_async", "send_task"}


def _writes(node: ast.AST) -> bool:
    """Whether `node` is a call that looks like an ORM write.

    `update` of dictionaries and hashes takes a positional argument, a queryset's does not; clients
    of other systems delete something that they name, rows delete themselves.
    """
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    method = node.func.attr
    if method == "update":
        return bool(node.keywords) and not node.args
    if method == "delete":
        return not node.args and not node.keywords
    return method in MANAGER_WRITES | {"save"}


def _reads_clock(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and ".".join(ast.unparse(node).split(".")[-2:]) in CLOCKS


def _asks_for_now(node: ast.AST) -> bool:
    return _last(node, 2) == "clock.now"


def _reads_environment(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "os" and any(a.name in {"environ", "getenv"} for a in node.names)
    return isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.getenv"}


def _finds_model_by_name(node: ast.AST) -> bool:
    return _last(node) == "get_model"


def _uses_signals(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        from_signals = node.module == "django.db.models" and any(
            alias.name == "signals" for alias in node.names
        )
        return node.module in SIGNALS or from_signals
    return isinstance(node, ast.Import) and any(alias.name in SIGNALS for alias in node.names)


def _declares_task(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and any(a.name == "shared_task" for a in node.names)


def _catches(node: ast.AST) -> bool:
    return isinstance(node, ast.Try)


RULES: dict[str, tuple[Rule, Callable[[Path], bool]]] = {
    "celery-message-outside-kernel": (
        _sends_celery_message,
        lambda path: path.as_posix() == "kernel/jobs.py",
    ),
    "task-declared-without-job": (
        _declares_task,
        lambda path: path.as_posix() == "kernel/jobs.py",
    ),
    "write-outside-operations": (
        _writes,
        lambda path: (
            path.parts[0] in {"kernel", "manage.py"}
            or path.parts[:2] in {("hub", "launch"), ("hub", "embedded")}
            or _room(path) in {"operations"} | WITHOUT_ORM
        ),
    ),
    "wall-clock-outside-kernel": (
        _reads_clock,
        lambda path: path.as_posix() == "kernel/clock.py",
    ),
    "now-is-an-argument": (_asks_for_now, lambda path: _room(path) in {"", *DOOR_ROOMS}),
    "environment-outside-env": (
        _reads_environment,
        lambda path: (
            path.as_posix() in ENVIRONMENT_READERS
            or path.parts[:2] in {("hub", "launch"), ("hub", "embedded")}
        ),
    ),
    "model-by-name": (_finds_model_by_name, lambda path: "migrations" in path.parts),
    "signals": (_uses_signals, lambda _: False),
    "view-catches": (_catches, lambda path: _room(path) != "views"),
}
