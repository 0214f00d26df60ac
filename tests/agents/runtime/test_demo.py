"""The demo provider: honest, the same each time, and driven by the task."""

from collections.abc import Mapping
from typing import Any

import pytest

from agents.runtime import demo_answer, demo_plan
from agents.runtime.builtin import builtin_tools
from agents.runtime.demo_plan import PlannedCall
from agents.runtime.tools import Tool, ToolFailed
from kernel.outbound import OutboundPolicy
from tests.agents.runtime.factories import Recorder, make_spec, make_tool, run

CALCULATOR, HTTP_GET = builtin_tools(OutboundPolicy())
QUERY = {
    "type": "object",
    "properties": {"query": {"type": "string"}, "limit": {"type": "integer"}},
    "required": ["query"],
}
PORTS = {
    "title": "Running the hub",
    "passage": "The hub listens on <mark>port</mark> 8000. Two hubs run side by side.",
}
BACKUP = {"title": "Backups", "passage": "Back up the data folder."}


def knowledge(*answers: Any) -> Tool:
    """A search that gives `answers` in turn."""
    left = list(answers)

    def search(_context: Any, _arguments: Mapping[str, Any]) -> Any:
        return left.pop(0)

    return make_tool("knowledge_search", search, parameters=QUERY)


def ask(prompt: str, *tools: Tool, journal: Recorder | None = None) -> str:
    spec = make_spec(
        provider="demo", model="demo", prompt=prompt, tools=tuple(tool.name for tool in tools)
    )
    result = run(None, spec, *tools, journal=journal)
    assert result.status == "success"
    return result.output


def test_it_says_what_it_is_when_there_is_nothing_to_do() -> None:
    answer = ask("Write a poem.")

    assert answer == "\n\n".join([demo_answer.WHO, demo_answer.NO_TOOL, demo_answer.HOW_TO_CHANGE])


def test_it_calculates() -> None:
    answer = ask("What is 1,299.50 \u00d7 3 + 4^2?", CALCULATOR)

    assert answer == f"{demo_answer.WHO}\n\n1299.50 * 3 + 4**2 = 3914.5"


def test_it_cites_the_passages_it_quotes() -> None:
    journal = Recorder()

    found = {"results": [PORTS, BACKUP]}
    answer = ask("Which port does the hub listen on?", knowledge(found), journal=journal)

    assert journal.of("started")[0].arguments == {"query": "port hub listen"}
    assert answer == "\n\n".join(
        [
            demo_answer.WHO,
            "From the knowledge base:\n\n"
            '- “The hub listens on port 8000.” [1] "Running the hub"\n'
            '- “Two hubs run side by side.” [1] "Running the hub"\n'
            '- “Back up the data folder.” [2] "Backups"',
            'Sources:\n[1] "Running the hub"\n[2] "Backups"',
        ]
    )


def test_it_widens_a_search_that_found_nothing() -> None:
    journal = Recorder()

    answer = ask("Which port does the hub use?", knowledge([], [PORTS]), journal=journal)

    queries = [call.arguments["query"] for call in journal.of("started")]
    assert queries == ["port hub", "port OR hub"]
    assert '[1] "Running the hub"' in answer


def test_it_says_when_knowledge_has_nothing() -> None:
    answer = ask("Which port does the hub use?", knowledge([], {"items": []}))

    assert answer == f"{demo_answer.WHO}\n\n{demo_answer.NOTHING_KNOWN}"


def test_it_says_which_tool_failed() -> None:
    def fail(_context: Any, _arguments: Mapping[str, Any]) -> None:
        raise ToolFailed("The index is being rebuilt.")

    answer = ask("What is a lease?", make_tool("knowledge_search", fail, parameters=QUERY))

    told = "The tool knowledge_search did not help: The index is being rebuilt."
    assert answer == f"{demo_answer.WHO}\n\n{told}"


def test_it_reads_addresses() -> None:
    journal = Recorder()

    answer = ask("Summarise http://127.0.0.1:9/notes.", HTTP_GET, journal=journal)

    assert journal.of("started")[0].arguments == {"url": "http://127.0.0.1:9/notes"}
    assert "The tool http_get did not help: The hub may not connect to private" in answer


def test_it_calls_a_tool_that_the_task_names() -> None:
    answer = ask("Please shout this.", make_tool())

    assert answer.endswith("The tool shout returned: PLEASE SHOUT THIS.")


def test_answer_and_usage_are_the_same_each_time() -> None:
    spec = make_spec(provider="demo", model="demo", prompt="What is 6 * 7?", tools=("calculator",))

    first, second = run(None, spec, CALCULATOR), run(None, spec, CALCULATOR)

    assert (first.output, first.usage) == (second.output, second.usage)
    assert (first.usage.requests, first.usage.unmeasured_requests) == (2, 0)
    assert first.usage.input_tokens > first.usage.output_tokens > 0


def test_it_streams_in_pieces_under_its_own_name() -> None:
    journal = Recorder()

    answer = ask("What is a lease?", knowledge([PORTS] * 3), journal=journal)

    assert "".join(journal.of("delta")) == answer
    assert journal.of("delta")[0] == "I am Agent Hub's "
    assert {(turn.provider, turn.model) for turn in journal.of("answered")} == {("demo", "demo")}


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ("What is 2+2?", ["2+2"]),
        ("(3 + 4) * 2 and 10 / 4", ["(3 + 4) * 2", "10 / 4"]),
        ("On 2026-11-22 we work 24/7, 3-5 days, version 1.2.3", []),
        ("see https://example.org/1+1", []),
        ("5 apples", []),
        ("((((((((", []),
    ],
)
def test_arithmetic_is_told_from_dates_and_ranges(prompt: str, found: list[str]) -> None:
    assert demo_plan.expressions(prompt) == found


def test_instructions_can_ask_for_the_search() -> None:
    tools = {"knowledge_search": QUERY}

    plain = demo_plan.first_calls("Lease renewal.", "", tools)
    told = demo_plan.first_calls("Lease renewal.", "Answer from the knowledge base.", tools)

    assert plain == []
    assert told == [PlannedCall("knowledge_search", {"query": "Lease renewal"})]


def test_a_tool_whose_arguments_need_thought_is_left_alone() -> None:
    schema = {"properties": {"a": {"type": "string"}, "b": {}}, "required": ["a", "b"]}

    assert demo_plan.first_calls("Use move file.", "", {"move_file": schema}) == []


@pytest.mark.parametrize(
    ("prompt", "calls"),
    [
        ("Now list files, please.", 1),
        ("Run list_files.", 1),
        ("Do not list files.", 0),
        ("Don't ever use list files.", 0),
        ("Enlist filesystems.", 0),
    ],
)
def test_a_named_tool_is_called_unless_it_is_forbidden(prompt: str, calls: int) -> None:
    assert len(demo_plan.first_calls(prompt, "Use list files.", {"list_files": {}})) == calls
