"""The rows of the contract: which exist, which are not served yet."""

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent
UNSERVED = FOLDER / "unserved.txt"


@dataclass(frozen=True, order=True, slots=True)
class Row:
    """One line of `endpoints.tsv`; several seeds may ask for the same method and path."""

    seed: str
    method: str
    path: str
    auth: str

    @property
    def key(self) -> str:
        """The row as `unserved.txt` names it."""
        return f"{self.seed} {self.method} {self.path}"

    @property
    def route(self) -> tuple[str, str]:
        """What a router distinguishes: the method, and the path without names of parameters."""
        return self.method, template(self.path)

    @property
    def is_public(self) -> bool:
        """Whether the row is answered without a credential."""
        return self.auth == "public"


def template(path: str) -> str:
    """`path` up to the names of its parameters and the trailing slash."""
    return re.sub(r"\{[^}]*\}", "{}", path).rstrip("/")


@cache
def every() -> tuple[Row, ...]:
    """All rows, in the order of the file."""
    with (FOLDER / "endpoints.tsv").open(newline="") as file:
        lines = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return tuple(Row(r["seed"], r["method"], r["path"], r["auth"]) for r in lines)


@cache
def unserved() -> tuple[str, ...]:
    """The keys of the rows that wait for their issue; the list may only shrink."""
    lines = UNSERVED.read_text().splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


def served() -> list[Row]:
    """The rows that the hub answers."""
    waiting = set(unserved())
    return [row for row in every() if row.key not in waiting]
