"""`manage.py enable_user`: the way back for somebody whom nobody else can enable."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.operations import people
from accounts.selectors import people as people_selectors
from kernel import clock
from kernel.actors import SYSTEM
from kernel.commands import OperatorCommand


class Command(OperatorCommand):
    """Lets a disabled user log in again; audited."""

    help = "Enable a user who was disabled."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whom."""
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say that it was done."""
        user = people_selectors.find_user_by_email(email=options["email"])
        if user is None:
            raise CommandError(f"Nobody has the e-mail {options['email']}.")
        people.update_user(
            organization_id=user.organization_id,
            user_id=user.pk,
            values={"is_active": True},
            giver=None,
            actor=SYSTEM,
            now=clock.now(),
        )
        self.stdout.write(f"{user.email} may log in again.")
