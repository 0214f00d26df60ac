"""`manage.py unlink_identity`: for somebody whom the identity provider knows anew."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.selectors import people as account_selectors
from kernel import clock
from kernel.actors import SYSTEM
from kernel.commands import OperatorCommand
from sso.operations import people


class Command(OperatorCommand):
    """Lets go of a user's links to providers; the next login there links them anew."""

    help = "Let a user be linked to an identity provider anew."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose."""
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say how many links there were."""
        user = account_selectors.find_user_by_email(email=options["email"])
        if user is None:
            raise CommandError(f"Nobody has the e-mail {options['email']}.")
        count = people.unlink(user=user, actor=SYSTEM, now=clock.now())
        self.stdout.write(f"{user.email} had {count} of them; the next login makes a new one.")
