"""Writing rows of one model in one statement each, for what every operation writes.

Django's `bulk_create` and `bulk_update` build a statement with a parameter for each cell: five
times the CPU of COPY, and more than the database itself needs.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import orjson
from django.db import connection
from django.db.models import AutoField, Field, JSONField, Model
from psycopg import sql


def insert(rows: Sequence[Model]) -> None:
    """Insert `rows`, all of one model, in the caller's transaction.

    A key that the database gives is not read back. Raises what an INSERT raises.
    """
    if not rows:
        return
    fields = _inserted(type(rows[0]))
    with (
        connection.wrap_database_errors,
        connection.cursor() as cursor,
        cursor.copy(_copy_statement(type(rows[0]))) as copy,
    ):
        for row in rows:
            copy.write_row([_copied(field, getattr(row, field.attname)) for field in fields])
    for row in rows:
        row._state.adding, row._state.db = False, connection.alias


def update(
    rows: Sequence[Model], names: Sequence[str], *, where: Sequence[str] = ("id",)
) -> set[Any]:
    """Write the fields `names` of `rows` where the stored fields `where` equal theirs.

    Gives the primary keys of the rows that matched. `names` and `where` are attribute names
    (`agent_id`). The values travel as one JSON document: one parameter, whatever their number.
    """
    if not rows:
        return set()
    fields = [_fields(type(rows[0]))[name] for name in (*where, *names)]
    given = [{field.column: getattr(row, field.attname) for field in fields} for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(
            _update_statement(type(rows[0]), tuple(where), tuple(names)),
            [orjson.dumps(given, default=str).decode()],
        )
        return {found[0] for found in cursor.fetchall()}


@cache
def _fields(model: type[Model]) -> dict[str, "Field[Any, Any]"]:
    return {field.attname: field for field in model._meta.concrete_fields}


@cache
def _inserted(model: type[Model]) -> list["Field[Any, Any]"]:
    return [field for field in _fields(model).values() if not isinstance(field, AutoField)]


@cache
def _copy_statement(model: type[Model]) -> str:
    columns = [_column(field) for field in _inserted(model)]
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(model._meta.db_table), sql.SQL(", ").join(columns)
    )
    return statement.as_string()


@cache
def _update_statement(
    model: type[Model], where: tuple[str, ...], names: tuple[str, ...]
) -> str:
    fields = _fields(model)

    def column(name: str) -> sql.Identifier:
        return _column(fields[name])

    statement = sql.SQL(
        "UPDATE {table} AS stored SET {changes}"
        " FROM json_to_recordset(%s::json) AS given({columns})"
        " WHERE {matches} RETURNING stored.{key}"
    ).format(
        table=sql.Identifier(model._meta.db_table),
        changes=sql.SQL(", ").join(
            sql.SQL("{0} = given.{0}").format(column(name)) for name in names
        ),
        columns=sql.SQL(", ").join(
            sql.SQL("{} {}").format(column(name), sql.SQL(fields[name].db_type(connection) or ""))
            for name in (*where, *names)
        ),
        matches=sql.SQL(" AND ").join(
            sql.SQL("stored.{0} = given.{0}").format(column(name)) for name in where
        ),
        key=_column(model._meta.pk),
    )
    return statement.as_string()


def _column(field: "Field[Any, Any]") -> sql.Identifier:
    return sql.Identifier(str(field.column))


def _copied(field: "Field[Any, Any]", value: Any) -> Any:
    if value is not None and isinstance(field, JSONField):
        return orjson.dumps(value).decode()
    return value
