"""`manage.py audit_public_key`: the keys that sign checkpoints and exports."""

from argparse import ArgumentParser
from typing import Any

from audit.selectors import checkpoints
from kernel.commands import OperatorCommand


class Command(OperatorCommand):
    """Prints the key of now; with `--all` those of earlier secrets too, a line each."""

    help = "Print the public key that signs audit checkpoints and exports (Ed25519, base64)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """`--all` and `--pem`."""
        parser.add_argument("--all", action="store_true", help="earlier keys too")
        parser.add_argument("--pem", action="store_true", help="in PEM")

    def handle(self, *args: Any, **options: Any) -> None:
        """The current one first."""
        keys = checkpoints.list_keys() if options["all"] else [checkpoints.current_key()]
        for key in keys:
            self.stdout.write((key.pem if options["pem"] else key.text).rstrip())
