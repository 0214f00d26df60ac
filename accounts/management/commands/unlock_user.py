"""`manage.py unlock_user`: the way back after too many wrong passwords."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.operations import lockout
from accounts.selectors import people
from kernel import clock
from kernel.actors import SYSTEM
from kernel.commands import OperatorCommand


class Command(OperatorCommand):
    """Forgets the failures of a user and lifts the lock; audited."""

    help = "Unlock a user before the time is over."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whom."""
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say that it was done."""
        user = people.find_user_by_email(email=options["email"])
        if user is None:
            raise CommandError(f"Nobody has the e-mail {options['email']}.")
        lockout.unlock(user=user, actor=SYSTEM, now=clock.now())
        self.stdout.write(f"{user.email} may try again.")
