"""`manage.py clear_ip_rules`: the way back in for an organization that locked itself out."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.models import Organization
from accounts.operations import network
from kernel import clock
from kernel.actors import SYSTEM
from kernel.commands import OperatorCommand


class Command(OperatorCommand):
    """Takes all IP rules away; audited."""

    help = "Let an organization be reached from everywhere again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose."""
        parser.add_argument("slug", help="the organization's slug")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say that it was done."""
        found = Organization.objects.filter(slug=options["slug"]).first()
        if found is None:
            raise CommandError(f"No organization has the slug {options['slug']}.")
        network.replace_rules(organization_id=found.pk, rules=[], actor=SYSTEM, now=clock.now())
        self.stdout.write(f"{found.name} has no IP rules any more.")
