"""What is in which file."""

import ast
from pathlib import Path

from tests.architecture import house

BANNED_NAMES = {"utils", "util", "helpers", "common", "base", "core", "misc", "extras", "signals"}
WRITING_METHODS = {"create", "update", "save"}
README_LINES = 40
SOURCE_LINES = 400
TEST_LINES = 500
NAMED_BY_OTHERS = {"kernel/postgres/base.py"}  # Django loads a backend from `<ENGINE>.base`.
# Files over the limit, with the lines they had when they were listed. May only shrink.
OVERSIZED: dict[str, int] = {}


def classes(path: Path) -> list[ast.ClassDef]:
    return [node for node in ast.walk(house.tree(path)) if isinstance(node, ast.ClassDef)]


def in_room(path: Path, room: str) -> bool:
    return path.parts[0] in house.domain_apps() and path.with_suffix("").parts[1] == room


def test_no_file_is_a_drawer() -> None:
    drawers = [
        str(path)
        for path in (*house.sources(), *house.sources(tests=True))
        if BANNED_NAMES & set(path.with_suffix("").parts) and str(path) not in NAMED_BY_OTHERS
    ]

    assert not drawers


def test_files_stay_small() -> None:
    limits = [(SOURCE_LINES, house.sources()), (TEST_LINES, house.sources(tests=True))]

    oversized = {
        str(path): lines
        for limit, paths in limits
        for path in paths
        if (lines := len(house.text(path).splitlines())) > max(limit, OVERSIZED.get(str(path), 0))
    }

    assert not oversized


def test_the_list_of_oversized_files_shrinks() -> None:
    too_generous = {
        name: lines
        for name, lines in OVERSIZED.items()
        if len(house.text(Path(name)).splitlines()) < lines
    }

    assert not too_generous


def test_serializers_shape_and_never_save() -> None:
    writers = [
        f"{path}:{method.lineno} {owner.name}.{method.name}"
        for path in house.sources()
        for owner in classes(path)
        if in_room(path, "serializers") or "Serializer" in owner.name
        for method in owner.body
        if isinstance(method, ast.FunctionDef) and method.name in WRITING_METHODS
    ]

    assert not writers


def test_every_app_with_viewsets_tests_its_views() -> None:
    serving = {
        path.parts[0]
        for path in house.sources()
        if in_room(path, "views") and any("View" in owner.name for owner in classes(path))
    }

    untested = [
        app
        for app in sorted(serving)
        if not list((house.ROOT / "tests" / app).glob("test_views*.py"))
        and not list((house.ROOT / "tests" / app / "views").glob("test_*.py"))
    ]

    assert not untested


def test_every_app_says_what_it_is() -> None:
    readmes = {app: house.ROOT / app / "README.md" for app in house.local_apps()}

    wrong = [
        app
        for app, readme in readmes.items()
        if not readme.is_file() or not 3 <= len(readme.read_text().splitlines()) <= README_LINES
    ]

    assert not wrong
