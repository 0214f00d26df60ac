"""`python -m bench [FIGURE ...]`: measure and print one table."""

import argparse
import importlib
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from bench import stage, table

FIGURES: Final = (
    "throughput",
    "latency",
    "runs",
    "turns",
    "http",
    "fanout",
    "identity",
    "budgets",
    "approvals",
)
ROUNDS: Final = 3


def main() -> None:
    """Rounds of every chosen figure, one after the other, so that drift hits all alike."""
    asked = _arguments()
    modules = [importlib.import_module(f"bench.figures.{name}") for name in asked.figures]
    rounds: list[list[table.Figure]] = []
    for number in range(asked.rounds):
        measured: list[table.Figure] = []
        for module in modules:
            print(f"round {number + 1}: {module.__name__}", file=sys.stderr, flush=True)
            found = _measure(module)
            print(table.render(found), file=sys.stderr, flush=True)
            measured += found
        rounds.append(measured)
    result = table.render(table.medians(rounds))
    print(result)
    if asked.write:
        asked.write.write_text(_page(result, asked.rounds))


def _measure(module: Any) -> list[table.Figure]:
    """One round on a stage of its own: what a figure leaves would be work in the next one."""
    with (
        tempfile.TemporaryDirectory(prefix="hub-bench-") as folder,
        stage.raise_stage(Path(folder) / "data") as raised,
    ):
        found: list[table.Figure] = module.measure(raised)
        return found


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("figures", nargs="*", default=list(FIGURES), metavar="FIGURE")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--write", type=Path, help="also write the table as a Markdown page")
    asked = parser.parse_args()
    if unknown := set(asked.figures) - set(FIGURES):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}; one of {', '.join(FIGURES)}")
    return asked


def _page(result: str, rounds: int) -> str:
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return (
        "# Benchmarks\n\n"
        f"Written by `make bench`: {machine}, embedded servers, medians of {rounds} rounds."
        " Values are this machine's; the ratios are what can be compared. `bench/README.md` says"
        f" what each figure does.\n\n{result}"
    )


if __name__ == "__main__":
    main()
