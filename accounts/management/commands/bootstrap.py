"""`manage.py bootstrap`: the first organization and its administrator."""

import json
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from accounts.operations import bootstrap
from kernel import clock
from kernel.commands import OperatorCommand
from kernel.errors import DomainError


class Command(OperatorCommand):
    """Idempotent; a password that it made up is printed once and stored only as a hash."""

    help = "Make the organization and the administrator named by the environment, if missing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--json` for programs."""
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what exists now."""
        try:
            made = bootstrap.bootstrap(**settings.HUB_BOOTSTRAP, now=clock.now())
        except DomainError as error:
            reasons = "; ".join(field["message"] for field in error.fields)
            raise CommandError(reasons or error.detail) from None
        found = {
            "organization": made.organization.name,
            "email": made.user.email,
            "password": made.password,
            "created": made.created,
        }
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        self.stdout.write(f"{made.user.email} administers {made.organization.name}.")
        if made.password:
            self.stdout.write(f"Password, shown only now: {made.password}")
