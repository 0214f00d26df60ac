"""Whoever changes what decides about callers tells those who remember them.

Watches every test: an operation that wrote such a column and committed, and nowhere called
`callers.forget`, fails the test that ran it.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Final
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from accounts.operations import callers

STATEMENT: Final = re.compile(
    r'(INSERT INTO|UPDATE|DELETE FROM) "accounts_(\w+)"(?: SET (.*))?', re.S
)
COLUMN: Final = re.compile(r'"(\w+)" = ')
# Adding such a row gives or takes something; a new person, session, key or role changes nobody.
ADDED: Final = frozenset({"roleassignment", "iprule"})
# What decides, and what is shown of a remembered caller. Of other tables every column does.
DECIDING: Final = {
    "user": {"is_active", "email", "full_name", "mfa_enabled_at"},
    "session": {"revoked_at", "mfa_at", "restriction"},
    "apikey": {"revoked_at", "expires_at", "scopes"},
    "organization": {"is_active"},
    "role": {"permissions", "name"},
    "roleassignment": {"scope", "role_id", "user_id"},
    "iprule": {"cidr", "action"},
}

# Operations that need tell nobody, each with its reason.
SILENT: Final = {"accounts.operations.pruning.prune_sessions": "They ended a month ago."}


class Watch:
    """What was written and told, by operation; what is rolled back never happened."""

    def __init__(self) -> None:
        self.owed: set[tuple[str, str]] = set()
        self.told: set[str] = set()

    def note(self, sql: Any, rows: int) -> None:
        """A statement that touched `rows` rows."""
        table = deciding_table(str(sql)) if rows else ""
        operation = outermost_operation() if table else ""
        if operation:
            transaction.on_commit(_Later(self.owed, (operation, table)))

    def tell(self) -> None:
        """A call of `callers.forget`."""
        if operation := outermost_operation():
            transaction.on_commit(_Later(self.told, operation))

    def silent(self) -> list[str]:
        """The operations that told nobody, each with the table."""
        for _, later, *_ in connection.run_on_commit:
            if isinstance(later, _Later):  # of a test that never commits
                later()
        told = self.told | set(SILENT)
        return sorted(f"{name} ({table})" for name, table in self.owed if name not in told)


class _Later:
    def __init__(self, found: set[Any], entry: Any) -> None:
        self._found, self._entry = found, entry

    def __call__(self) -> None:
        self._found.add(self._entry)


def deciding_table(sql: str) -> str:
    """The table whose deciding columns the statement writes; "" if none."""
    match = STATEMENT.match(sql)
    if match is None or match[2] not in DECIDING:
        return ""
    verb, table, changes = match.groups()
    if verb == "INSERT INTO":
        return table if table in ADDED else ""
    if verb == "UPDATE":
        written = set(COLUMN.findall((changes or "").partition(" WHERE ")[0]))
        return table if written & DECIDING[table] else ""
    return table


def outermost_operation() -> str:
    """The operation that the running code was called for; "" outside of all."""
    found, frame = "", sys._getframe(1)
    step: FrameType | None = frame
    while step is not None:
        path = Path(step.f_code.co_filename)
        if "tests" not in path.parts and "operations" in {path.stem, path.parent.name}:
            found = f"{step.f_globals['__name__']}.{step.f_code.co_qualname}"
        step = step.f_back
    return found


def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Watch from now on, until the patches are undone."""
    seen = Watch()
    execute: Callable[..., Any] = CursorWrapper.execute
    forget = callers.forget

    def noting(cursor: Any, sql: Any, params: Any = None) -> Any:
        outcome = execute(cursor, sql, params)
        if "accounts_" in str(sql):
            seen.note(sql, cursor.cursor.rowcount)
        return outcome

    def telling(*, organization_id: UUID) -> None:
        seen.tell()
        forget(organization_id=organization_id)

    monkeypatch.setattr(CursorWrapper, "execute", noting)
    monkeypatch.setattr(callers, "forget", telling)
    return seen
