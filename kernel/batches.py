"""Writing many rows in one statement, for what every operation writes.

The values travel as one JSON document for each table. Django's `bulk_create` and `bulk_update`
build a statement with a parameter for each cell: several times the CPU, and more than the database
itself needs.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from typing import Any, Final

import orjson
from django.db import connection
from django.db.models import AutoField, Field, Model, Value
from django.db.models.expressions import DatabaseDefault
from psycopg import sql


class _Collected(threading.local):
    """What a thread inserts inside of `together`, by table."""

    rows: dict[type[Model], list[Model]] | None = None


_collected: Final = _Collected()


@contextmanager
def together() -> Iterator[None]:
    """Inside of it `insert` only collects; at its end all tables are written by one statement.

    For operations of several inserts that read none of them: each statement less is one wait less.
    What is collected is dropped with an exception. Inside of another, it does nothing.
    """
    if _collected.rows is not None:
        yield
        return
    collected: dict[type[Model], list[Model]] = {}
    _collected.rows = collected
    try:
        yield
    finally:
        _collected.rows = None
    _insert(collected)


def insert(rows: Sequence[Model]) -> None:
    """Insert `rows`, all of one model, in the caller's transaction and in their order.

    A key that the database gives is not read back. Raises what an INSERT raises.
    """
    if not rows:
        return
    if _collected.rows is not None:
        _collected.rows.setdefault(type(rows[0]), []).extend(rows)
    else:
        _insert({type(rows[0]): list(rows)})


def update(
    rows: Sequence[Model], names: Sequence[str], *, where: Sequence[str] = ("id",)
) -> set[Any]:
    """Write the fields `names` of `rows` where the stored fields `where` equal theirs.

    Gives the primary keys of the rows that matched. `names` and `where` are attribute names
    (`agent_id`).
    """
    if not rows:
        return set()
    if _collected.rows and type(rows[0]) in _collected.rows:
        raise RuntimeError("These rows are only collected yet: update them after `together`.")
    fields = [_fields(type(rows[0]))[name] for name in (*where, *names)]
    with connection.cursor() as cursor:
        statement = _update_statement(type(rows[0]), tuple(where), tuple(names))
        cursor.execute(statement, [_document(rows, fields)])
        return {found[0] for found in cursor.fetchall()}


def _insert(collected: dict[type[Model], list[Model]]) -> None:
    if not collected:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _insert_statement(tuple(collected)),
            [_document(rows, _inserted(model)) for model, rows in collected.items()],
        )
    for rows in collected.values():
        for row in rows:
            row._state.adding, row._state.db = False, connection.alias


def _document(rows: Sequence[Model], fields: "Sequence[Field[Any, Any]]") -> str:
    names = [(str(field.column), field.attname) for field in fields]
    given = [{column: getattr(row, name) for column, name in names} for row in rows]
    return orjson.dumps(given, default=_plain).decode()


def _plain(value: Any) -> Any:
    """What JSON has no word for, as PostgreSQL reads it; raises TypeError for anything else."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, DatabaseDefault):  # a `db_default` column that nobody set
        (default,) = value.get_source_expressions()
        if isinstance(default, Value):
            return default.value
    raise TypeError(f"{type(value).__name__} cannot be written in a batch.")


@cache
def _fields(model: type[Model]) -> "dict[str, Field[Any, Any]]":
    return {field.attname: field for field in model._meta.concrete_fields}


@cache
def _inserted(model: type[Model]) -> "list[Field[Any, Any]]":
    return [field for field in _fields(model).values() if not isinstance(field, AutoField)]


@cache
def _insert_statement(models: tuple[type[Model], ...]) -> str:
    inserts = [
        sql.SQL("INSERT INTO {table} ({columns}) SELECT {columns} FROM {given}").format(
            table=sql.Identifier(model._meta.db_table),
            columns=sql.SQL(", ").join(_column(field) for field in _inserted(model)),
            given=_given(_inserted(model)),
        )
        for model in models
    ]
    before = [
        sql.SQL("{} AS ({})").format(sql.Identifier(f"insert_{place}"), statement)
        for place, statement in enumerate(inserts[:-1])
    ]
    head = sql.SQL("WITH {} ").format(sql.SQL(", ").join(before)) if before else sql.SQL("")
    return (head + inserts[-1]).as_string()


@cache
def _update_statement(model: type[Model], where: tuple[str, ...], names: tuple[str, ...]) -> str:
    fields = _fields(model)
    statement = sql.SQL(
        "UPDATE {table} AS stored SET {changes} FROM {given} WHERE {matches} RETURNING stored.{key}"
    ).format(
        table=sql.Identifier(model._meta.db_table),
        changes=sql.SQL(", ").join(
            sql.SQL("{0} = given.{0}").format(_column(fields[name])) for name in names
        ),
        given=_given([fields[name] for name in (*where, *names)]),
        matches=sql.SQL(" AND ").join(
            sql.SQL("stored.{0} = given.{0}").format(_column(fields[name])) for name in where
        ),
        key=_column(model._meta.pk),
    )
    return statement.as_string()


def _given(fields: "Sequence[Field[Any, Any]]") -> sql.Composed:
    columns = [
        sql.SQL("{} {}").format(_column(field), sql.SQL(field.db_type(connection) or ""))
        for field in fields
    ]
    return sql.SQL("json_to_recordset(%s::json) AS given({})").format(sql.SQL(", ").join(columns))


def _column(field: "Field[Any, Any]") -> sql.Identifier:
    return sql.Identifier(str(field.column))
