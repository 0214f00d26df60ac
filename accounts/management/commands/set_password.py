"""`manage.py set_password`: the way back from a lost password."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.operations import passwords
from accounts.selectors import people as people_selectors
from kernel import clock
from kernel.actors import SYSTEM
from kernel.commands import OperatorCommand


class Command(OperatorCommand):
    """Makes up a password, ends the user's sessions, prints it once; audited."""

    help = "Give a user a new password and print it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose."""
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the password alone on its line."""
        user = people_selectors.find_user_by_email(email=options["email"])
        if user is None:
            raise CommandError(f"Nobody has the e-mail {options['email']}.")
        password = passwords.make()
        passwords.set_password(user=user, password=password, actor=SYSTEM, now=clock.now())
        self.stdout.write(f"Password of {user.email}, shown only now:\n{password}")
