"""The roles of the embedded database: an owner who migrates, and an app role that only has rows."""

from typing import Final

import psycopg
from psycopg import sql

# Privileges of template1 are inherited by every database made from it, test databases too.
TEMPLATE: Final = """
    CREATE EXTENSION IF NOT EXISTS vector;
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    GRANT USAGE ON SCHEMA public TO hub_app;
    ALTER DEFAULT PRIVILEGES FOR ROLE hub_owner
        GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO hub_app;
    ALTER DEFAULT PRIVILEGES FOR ROLE hub_owner GRANT USAGE, SELECT ON SEQUENCES TO hub_app;
"""
ROLES: Final = {
    "hub_owner": "LOGIN NOSUPERUSER CREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS",
    "hub_app": "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS",
}


def provision(template_url: str, database: str, passwords: dict[str, str]) -> None:
    """Make roles, default privileges and the database; safe to repeat after an interruption."""
    with psycopg.connect(template_url, autocommit=True) as connection:
        for role, abilities in ROLES.items():
            _make_role(connection, role, abilities, passwords[role])
        connection.execute(TEMPLATE)
        name = sql.Identifier(database)
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database])
        if found.fetchone() is None:
            _run(connection, "CREATE DATABASE {} OWNER hub_owner", name)
        _run(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", name)
        _run(connection, "GRANT CONNECT ON DATABASE {} TO hub_app", name)


def _make_role(
    connection: psycopg.Connection[tuple[object, ...]], role: str, abilities: str, password: str
) -> None:
    found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    verb = "CREATE" if found is None else "ALTER"
    _run(
        connection,
        f"{verb} ROLE {{}} WITH {abilities} PASSWORD {{}}",
        sql.Identifier(role),
        sql.Literal(password),
    )


def _run(
    connection: psycopg.Connection[tuple[object, ...]], statement: str, *values: sql.Composable
) -> None:
    connection.execute(sql.SQL(statement).format(*values))
