#!/usr/bin/env python
"""Entry point of every process: `python manage.py up | web | worker | scheduler | migrate | …`."""

import importlib
import os
import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older Python must be told so, not crash on syntax
    sys.exit(f"Agent Hub needs Python 3.11 or newer; this is {sys.version.split()[0]}.")


def main() -> None:
    """Hand the command line to Django with the hub's settings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415 - see below
        from django.core.management import execute_from_command_line  # noqa: PLC0415 - see below
        from django.db.utils import OperationalError  # noqa: PLC0415 - see below
    except ImportError:
        # Global imports would end in a traceback before this sentence could be said.
        sys.exit("Django is not installed here. Run `make setup`, then use `.venv/bin/python`.")
    if sys.argv[1:2] == ["up"]:
        # Before settings are loaded: a wrong one is then one sentence, and the supervisor small.
        sys.exit(importlib.import_module("hub.launch.up").main(sys.argv[2:]))
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except OperationalError:
        # The driver's words name addresses and users; with no hub running they also mislead.
        sys.exit(
            "The database does not answer. Start the hub (`make up`), or set HUB_DATA_DIR or"
            " DATABASE_URL to the one you mean."
        )


if __name__ == "__main__":
    main()
