"""Django's `changepassword`, closed: it would go round the operations, and with them the audit."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    """Names the command to use."""

    help = "Use set_password."
    requires_system_checks: list[str] = []

    def run_from_argv(self, argv: list[str]) -> None:
        """Whatever the arguments."""
        self.stderr.write("Use `manage.py set_password`: it writes an audit row.")
        raise SystemExit(1)

    def handle(self, *args: Any, **options: Any) -> None:
        """For `call_command`."""
        raise CommandError("Use `manage.py set_password`: it writes an audit row.")
