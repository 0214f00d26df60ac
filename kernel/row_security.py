"""Migration operations for row-level security: PostgreSQL compares each row with the scope.

`kernel.tenancy` says what a scope is, `kernel.postgres` sends it. FORCE, so that it binds the
tables' owner too; only a superuser or a role with BYPASSRLS is above it, and no process serves
as one (`hub.database_role`).
"""

from typing import Final

from django.db.migrations import RunSQL

# Each sub-select is computed once a statement. The scope of a thread is an organization's id, "*"
# for all, or nothing: then no row matches.
_SEES: Final = """
(SELECT current_setting('hub.scope', true)) = '*' OR {column} = (
  SELECT nullif(nullif(current_setting('hub.scope', true), '*'), '')::uuid
)
"""


def row_security(table: str, *, column: str = "organization_id") -> RunSQL:
    """Let a statement see and write only the rows of `table` in its scope.

    Rows without an organization belong to the platform alone.
    """
    sees = _SEES.format(column=column)
    return RunSQL(
        sql=f"""
        ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
        ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant ON {table} USING ({sees}) WITH CHECK ({sees});
        """,
        reverse_sql=f"""
        DROP POLICY tenant ON {table};
        ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE {table} DISABLE ROW LEVEL SECURITY;
        """,
    )
