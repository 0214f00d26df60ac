"""`manage.py create_user`: another person for an organization."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.core.validators import validate_email

from accounts.choices import UserRole
from accounts.operations import passwords, people
from accounts.selectors import people as people_selectors
from accounts.selectors import roles
from kernel import clock
from kernel.actors import SYSTEM
from kernel.commands import OperatorCommand
from kernel.errors import DomainError


class Command(OperatorCommand):
    """Makes up a password and prints it once; audited as the system's act."""

    help = "Add a user and print the password."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Who, with which role, where."""
        parser.add_argument("email", type=_email)
        parser.add_argument(
            "--role",
            default=UserRole.VIEWER.value,
            help="any role of the organization, by its name",
        )
        parser.add_argument("--organization", help="slug; needed if there are several")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the password alone on its line."""
        found = people_selectors.list_organizations()
        if options["organization"]:
            found = found.filter(slug=options["organization"])
        organizations = list(found[:2])
        if len(organizations) != 1:
            raise CommandError("Name one organization with --organization SLUG.")
        password = passwords.make()
        try:
            people.create_user(
                organization_id=organizations[0].pk,
                email=options["email"],
                role=options["role"],
                password=password,
                actor=SYSTEM,
                now=clock.now(),
            )
        except DomainError as error:
            reasons = [str(field["message"]) for field in error.fields]
            if any(field["type"] == "unknown_role" for field in error.fields):
                known = roles.list_roles(organization_id=organizations[0].pk)
                names = ", ".join(known.values_list("name", flat=True))
                reasons.append(f"Roles: {names}.")
            raise CommandError(" ".join(reasons) or error.detail) from None
        self.stdout.write(f"Password of {options['email']}, shown only now:\n{password}")


def _email(text: str) -> str:
    validate_email(text)
    return text
