"""`manage.py check_sso`: whether the identity provider of an organization can be used."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.models import Organization
from kernel.commands import OperatorCommand
from sso.operations import checks


class Command(OperatorCommand):
    """Reads what the provider publishes; ends with 1 if logins cannot work."""

    help = "Check the identity provider of an organization."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose."""
        parser.add_argument("slug", help="the organization's slug")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print what was found."""
        found = Organization.objects.filter(slug=options["slug"]).first()
        if found is None:
            raise CommandError(f"No organization has the slug {options['slug']}.")
        report = checks.check_provider(organization_id=found.pk)
        if not report.ok:
            raise CommandError("\n".join(report.lines))
        self.stdout.write("\n".join(report.lines))
