"""`manage.py prepare`: schema and first account, in one process of its own.

`up` runs it with DATABASE_URL naming the owner of the tables; nothing else runs as that role.
"""

import io
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from psycopg import sql

# Rows and sequences of every table that this role is going to make.
PRIVILEGES = (
    "ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {}",
    "ALTER DEFAULT PRIVILEGES GRANT USAGE, SELECT ON SEQUENCES TO {}",
)


class Command(BaseCommand):
    """Prints one JSON object: what `bootstrap --json` prints and, if asked, a `token`."""

    help = "Migrate if there is something to apply, then make the first account."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What `up` wants to know and whom the owner lets in."""
        parser.add_argument("--token", action="store_true", help="also issue an access token")
        parser.add_argument("--app-role", help="the role as which the hub will serve")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare, then print."""
        if options["app_role"]:
            self._let_in(options["app_role"])
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", interactive=False, verbosity=0)
        found = json.loads(self._output_of("bootstrap", json=True))
        if options["token"] and not found["created"]:  # else its password is known
            found["token"] = self._output_of("issue_token", email=found["email"]).strip()
        self.stdout.write(json.dumps(found))

    def _let_in(self, role: str) -> None:
        with connection.cursor() as cursor:
            for statement in PRIVILEGES:
                cursor.execute(sql.SQL(statement).format(sql.Identifier(role)))

    def _output_of(self, command: str, **options: Any) -> str:
        output = io.StringIO()
        call_command(command, stdout=output, **options)
        return output.getvalue()
