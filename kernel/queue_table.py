"""A migration step for tables that change all day."""

from django.db.migrations import RunSQL


def queue_table(name: str, **options: float) -> RunSQL:
    """Set storage parameters of PostgreSQL; unset again by the reverse.

    The defaults vacuum when a fifth of a table is dead. In a queue those are the rows that are
    read first, again and again; `fillfactor` leaves room for a new version beside the old.
    """
    assigned = ", ".join(f"{option} = {value}" for option, value in options.items())
    return RunSQL(
        f"ALTER TABLE {name} SET ({assigned})",
        reverse_sql=f"ALTER TABLE {name} RESET ({', '.join(options)})",
    )
