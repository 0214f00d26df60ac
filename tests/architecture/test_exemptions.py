"""Nobody switches a tool off without saying which rule, and for a linter, why."""

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture import house

NOQA = re.compile(r"#\s*(?:ruff: )?noqa\b", re.IGNORECASE)
GOOD_NOQA = re.compile(r"# (?:ruff: )?noqa: [A-Z]+[0-9]+(?:, [A-Z]+[0-9]+)* - \S+ .+")
TYPE_IGNORE = re.compile(r"#\s*(?:type|pyright|mypy):\s*ignore")
GOOD_TYPE_IGNORE = re.compile(r"# type: ignore\[[a-z, -]+\]")


def comments(path: Path) -> Iterator[tuple[int, str]]:
    with (house.ROOT / path).open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def is_bare(comment: str) -> bool:
    if NOQA.search(comment):
        return not GOOD_NOQA.search(comment)
    return bool(TYPE_IGNORE.search(comment)) and not GOOD_TYPE_IGNORE.search(comment)


def test_exemptions_carry_code_and_reason() -> None:
    bare = [
        f"{path}:{line} {comment}"
        for path in (*house.sources(), *house.sources(tests=True))
        for line, comment in comments(path)
        if is_bare(comment)
    ]

    assert not bare


@pytest.mark.parametrize(
    ("comment", "bare"),
    [
        ("# noqa", True),
        ("# noqa: S608", True),
        ("# noqa: S608 - the table name is a constant", False),
        ("# noqa: S608, E501 - the table name is a constant", False),
        ("# ruff: noqa", True),
        ("# type: ignore", True),
        ("# type: ignore[attr-defined]", False),
        ("# A plain comment about noise", False),
    ],
)
def test_bare_exemptions_are_told_apart(comment: str, *, bare: bool) -> None:
    assert is_bare(comment) is bare


def test_no_linter_rule_is_ignored_without_a_reason() -> None:
    lines = house.text(Path("pyproject.toml")).splitlines()
    start = lines.index("ignore = [")
    ignored = lines[start + 1 : lines.index("]", start)]

    assert not [line for line in ignored if not re.fullmatch(r'  "[A-Z0-9]+", +# \S.+\.', line)]
