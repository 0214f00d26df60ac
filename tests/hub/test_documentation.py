"""What can be set is written down."""

import re
from collections import Counter
from typing import Final

from hub.env import KNOWN
from preferences.choices import catalogue
from tests.conftest import repository

MEDIA_TYPE: Final = "application/json"


def configuration() -> str:
    """The page for operators."""
    return (repository() / "docs/configuration.md").read_text()


def test_every_variable_is_documented() -> None:
    assert not [name for name in sorted(KNOWN) if f"`{name}`" not in configuration()]


def test_every_setting_is_documented() -> None:
    assert not [key for key in catalogue() if f"`{key}`" not in configuration()]


def requirements() -> list[list[str]]:
    """The rows of the ASVS page: id, level, what is asked for, how it is held, what shows it."""
    lines = (repository() / "docs/security/asvs.md").read_text().splitlines()
    return [re.split(r" \| ", line.strip("| ")) for line in lines if re.match(r"\| V\d", line)]


def test_the_sums_of_the_asvs_page_are_those_of_its_rows() -> None:
    page = (repository() / "docs/security/asvs.md").read_text()
    found = Counter((row[1], row[3]) for row in requirements())

    for level in ("1", "2"):
        sums = " | ".join(str(found[level, held]) for held in ("yes", "partly", "no"))
        assert f"| level {level} | {sums} |" in page


def test_what_the_asvs_page_points_to_is_there() -> None:
    tests = "\n".join(file.read_text() for file in (repository() / "tests").rglob("test_*.py"))
    named = {name for row in requirements() for name in re.findall(r"`([\w./]+)`", row[-1])}

    files = {name for name in named if "/" in name and not name.startswith("/")} - {MEDIA_TYPE}
    assert not [name for name in sorted(files) if not (repository() / name).exists()]
    functions = {name for name in named if re.fullmatch(r"test_\w+", name)}
    assert not [name for name in sorted(functions) if f"def {name}(" not in tests]
