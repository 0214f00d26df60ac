"""First code of a child: `python -m hub.launch.child_main PARENT_PID COMMAND …`.

It dies with its supervisor, loads the apps while the database is still being prepared, and runs
the command once its standard input says so. `--` stands between several commands, run in turn.
"""

import signal
import sys
from itertools import groupby

import django
from django.core.management import execute_from_command_line

from hub.embedded import processes


def main(parent: int, words: list[str]) -> None:
    """Wait for the go-ahead, then become `manage.py COMMAND …`."""
    processes.die_with_parent(signal.SIGTERM, parent)
    django.setup()
    if not sys.stdin.readline():
        return  # The supervisor ended before it was ready.
    for between, command in groupby(words, key=lambda word: word == "--"):
        if not between:
            execute_from_command_line(["manage.py", *command])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
