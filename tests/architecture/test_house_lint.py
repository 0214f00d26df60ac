"""The house lint over the apps, and the samples that prove each of its rules."""

import ast
from pathlib import Path

import pytest

from tests.architecture import house
from tests.architecture.house_lint import RULES, broken

SAMPLES = Path(__file__).parent / "samples"
# (rule, file) pairs that may break a rule, each with its reason. May only shrink.
EXEMPT: dict[tuple[str, str], str] = {
    ("now-is-an-argument", "agents/operations/agent_calls.py"): (
        "A called agent's run begins and ends while its caller's lasts, each at its own instant."
    ),
    ("now-is-an-argument", "agents/operations/gates.py"): (
        "Model calls pass it while the run lasts, each at its own instant."
    ),
    ("now-is-an-argument", "agents/operations/journal.py"): (
        "It hears of turns and tool calls while the run lasts, each at its own instant."
    ),
    ("now-is-an-argument", "agents/operations/run_agent.py"): (
        "How much time is left is asked when the run really begins, on the loop."
    ),
    ("now-is-an-argument", "memory/operations/tools.py"): (
        "An agent remembers while its run lasts, each thing at its own instant."
    ),
    ("now-is-an-argument", "tools/operations/calls.py"): (
        "A call begins and ends while a run lasts, each at its own instant."
    ),
    ("now-is-an-argument", "tasks/operations/runner.py"): (
        "It lives as long as a run; the instant of its start would be wrong at its end."
    ),
}


def breaches() -> list[tuple[str, str, int]]:
    return [
        (b.rule, b.path, b.line) for path in house.sources() for b in broken(path, house.tree(path))
    ]


def test_the_apps_keep_the_rules() -> None:
    assert not [found for found in breaches() if found[:2] not in EXEMPT]


def test_no_exemption_outlives_its_need() -> None:
    assert set(EXEMPT) <= {found[:2] for found in breaches()}


def test_every_rule_has_a_sample() -> None:
    assert {sample.stem for sample in SAMPLES.glob("*.py")} == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_rule_refuses_exactly_the_marked_lines(rule: str) -> None:
    code = (SAMPLES / f"{rule}.py").read_text()
    pretended = Path(code.splitlines()[0].removeprefix("# Stands at "))
    marked = [n for n, line in enumerate(code.splitlines(), 1) if line.endswith("# refused")]

    found = {b.line for b in broken(pretended, ast.parse(code)) if b.rule == rule}

    assert marked
    assert sorted(found) == marked


@pytest.mark.parametrize(
    ("rule", "home"),
    [
        ("celery-message-outside-kernel", "kernel/jobs.py"),
        ("task-declared-without-job", "kernel/jobs.py"),
        ("write-outside-operations", "tasks/operations/cancel_task.py"),
        ("wall-clock-outside-kernel", "kernel/clock.py"),
        ("now-is-an-argument", "tasks/views.py"),
        ("environment-outside-env", "hub/env.py"),
        ("model-by-name", "tasks/migrations/0002_fill.py"),
        ("view-catches", "tasks/operations.py"),
    ],
)
def test_rule_is_silent_at_home(rule: str, home: str) -> None:
    code = ast.parse((SAMPLES / f"{rule}.py").read_text())

    assert not [b for b in broken(Path(home), code) if b.rule == rule]
