"""As whom the hub is connected: row-level security binds neither superusers nor BYPASSRLS."""

from typing import Final

import structlog
from django.core.management.base import CommandError
from django.db import OperationalError, connection

log = structlog.get_logger(__name__)
QUESTION: Final = (
    "SELECT rolname FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)"
)


def refuse_one_above_policies() -> None:
    """Raise CommandError if PostgreSQL would keep no organization's rows from another.

    A database that does not answer yet is no reason: the probes say so, and it may come.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute(QUESTION)
            found = cursor.fetchone()
    except OperationalError as error:
        log.warning("hub.database.role_unknown", error=type(error).__name__)
        return
    if found:
        raise CommandError(
            f'The database role "{found[0]}" is above row-level security, which keeps'
            " organizations apart. Connect as a role without SUPERUSER and BYPASSRLS;"
            " docs/production.md says how."
        )
