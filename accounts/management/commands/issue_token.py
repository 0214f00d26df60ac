"""`manage.py issue_token`: a session for whoever may run commands on this machine."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.operations import sessions
from accounts.selectors import people
from kernel import clock
from kernel.actors import SYSTEM
from kernel.commands import OperatorCommand


class Command(OperatorCommand):
    """Prints an access token (30 minutes) of one user; audited as the system's act."""

    help = "Print an access token of a user."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--email`."""
        parser.add_argument("--email", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the token alone, for use in scripts."""
        user = people.find_user_by_email(email=options["email"])
        if user is None or not user.is_active:
            raise CommandError(f"No active user has the e-mail {options['email']}.")
        self.stdout.write(sessions.issue_tokens(user=user, actor=SYSTEM, now=clock.now()).access)
