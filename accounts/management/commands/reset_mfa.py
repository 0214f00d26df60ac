"""`manage.py reset_mfa`: the way back for somebody who lost their authenticator."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.operations import mfa
from accounts.selectors import people
from kernel import clock
from kernel.actors import SYSTEM
from kernel.commands import OperatorCommand


class Command(OperatorCommand):
    """Takes the second factor away and ends the user's sessions; audited."""

    help = "Take the second factor from a user who lost it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose."""
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say that it was done."""
        user = people.find_user_by_email(email=options["email"])
        if user is None:
            raise CommandError(f"Nobody has the e-mail {options['email']}.")
        mfa.reset(user=user, actor=SYSTEM, now=clock.now())
        self.stdout.write(f"{user.email} logs in with the password alone now.")
