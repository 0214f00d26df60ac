"""The actions that docs/audit.md lists are those that the code records, and no others."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from django.apps import apps

from audit.choices import AuditStatus
from events import choices as events
from kernel import permissions
from kernel.errors import DomainError
from preferences import choices as preferences
from tests.conftest import repository

ACTION = re.compile(r"[a-z_]+\.[a-z_]+")
# Functions of the operations that take an action among their first arguments.
JOBS = {"audit.seal_events"}
RECORDERS = {"_record", "_end", "Entry", "Opening"}
ROWS = re.compile(r"^\| `(\w+)` \| (.+) \|$", re.MULTILINE)


def documented() -> set[str]:
    text = (repository() / "docs" / "audit.md").read_text()
    section = text.split("\n## Actions\n")[1].split("\n## ")[0]
    return {
        f"{noun}.{verb}"
        for noun, verbs in ROWS.findall(section)
        for verb in re.findall(r"`(\w+)`", verbs)
    }


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for config in apps.get_app_configs():
        folder = Path(config.path)
        if folder.parent == repository():
            for path in sorted(folder.rglob("*.py")):
                if "migrations" not in path.parts:
                    yield path.relative_to(repository()), ast.parse(path.read_text())


def actions_in(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        name = part.value if isinstance(part, ast.Constant) else None
        if isinstance(name, str) and ACTION.fullmatch(name) and not name.endswith(".py"):
            yield name


def recorded(tree: ast.Module) -> Iterator[str]:
    """The actions that calls name outright."""
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        named = [word.value for word in call.keywords if word.arg == "action"]
        function = call.func
        name = function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)
        if name in RECORDERS:
            named += [part for part in call.args if isinstance(part, ast.Constant)]
        for part in named:
            yield from actions_in(part)


def other_names() -> set[str]:
    """What looks like an action and is a permission, an event, a setting or an error."""
    kinds = list(DomainError.__subclasses__())
    for kind in kinds:
        kinds += kind.__subclasses__()
    return {
        *permissions.catalogue(),
        *(kind.name for kind in events.list_types()),
        *preferences.catalogue(),
        *(kind.code for kind in kinds),
    }


def test_what_calls_name_is_listed() -> None:
    found = {action for _, tree in trees() for action in recorded(tree)}

    assert found - documented() == set()
    assert len(found) > 40


def test_what_is_listed_is_somewhere_in_the_code() -> None:
    found = {action for _, tree in trees() for action in actions_in(tree)}

    assert documented() - found == set()


def test_no_other_name_of_a_listed_noun_is_among_the_operations() -> None:
    """Actions that reach the recorder through a variable."""
    nouns = {action.partition(".")[0] for action in documented()}
    found = {
        action
        for path, tree in trees()
        if path.parts[1] in {"operations", "operations.py"}
        for action in actions_in(tree)
        if action.partition(".")[0] in nouns and action not in JOBS
    }

    assert found - other_names() - documented() == set()


def test_the_outcomes_are_listed() -> None:
    text = (repository() / "docs" / "audit.md").read_text()

    row = next(line for line in text.splitlines() if line.startswith("| `status` |"))
    assert re.findall(r"`(\w+)`", row)[1:] == list(AuditStatus.values)
