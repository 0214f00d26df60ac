"""The plan of the house, as the tools read it, for the tests of this folder."""

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
# What a checkout may hold beside its sources: environments, caches, data of a running hub.
FOREIGN = frozenset(
    {".venv", ".git", ".hub", ".cache", ".hypothesis", ".static", ".idea", ".vscode"}
    | {"__pycache__", "test-results", "node_modules"}
)
# Beside the product: they use it, and it does not know them.
BESIDE = frozenset({"bench", "tests"})
# Not domain apps: no rooms, and the rules about operations do not apply.
FRAME = frozenset({"kernel", "hub"}) | BESIDE


@cache
def configuration() -> dict[str, Any]:
    """`pyproject.toml` as a dictionary."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@cache
def contract(name: str) -> dict[str, Any]:
    """The import-linter contract with the id `name`."""
    contracts: list[dict[str, Any]] = configuration()["tool"]["importlinter"]["contracts"]
    return next(c for c in contracts if c["id"] == name)


@cache
def floors() -> dict[str, int]:
    """The floor of each app, the kernel's being 1."""
    levels = enumerate(reversed(contract("floors")["layers"]), start=1)
    return {app.strip(" ()"): level for level, apps in levels for app in apps.split("|")}


@cache
def packages() -> tuple[str, ...]:
    """The top-level Python packages that exist, tests and benchmarks included."""
    return tuple(sorted(p.parent.name for p in ROOT.glob("*/__init__.py")))


@cache
def local_apps() -> tuple[str, ...]:
    """The top-level packages that are Django apps of this project."""
    return tuple(p for p in packages() if p not in BESIDE)


@cache
def domain_apps() -> tuple[str, ...]:
    """The apps that have rooms: all but kernel and hub."""
    return tuple(p for p in packages() if p not in FRAME)


@cache
def files() -> tuple[Path, ...]:
    """Every file of the project, relative to its root, without what git ignores."""
    return tuple(sorted(_walk(ROOT)))


@cache
def sources(*, tests: bool = False) -> tuple[Path, ...]:
    """Python files of the apps, or of tests and benchmarks; no migrations, no broken samples."""
    return tuple(
        p
        for p in files()
        if p.suffix == ".py"
        and (p.parts[0] in BESIDE) is tests
        and not {"migrations", "samples"} & set(p.parts)
    )


def text(path: Path) -> str:
    """The content of a project file."""
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def tree(path: Path) -> ast.Module:
    """The syntax tree of a project file."""
    return ast.parse(text(path), filename=str(path))


def _walk(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name in FOREIGN or entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _walk(entry)
        else:
            yield entry.relative_to(ROOT)
