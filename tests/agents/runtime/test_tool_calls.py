"""What the model reads when a call goes wrong, and in which order calls are made."""

import asyncio
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from jsonschema.exceptions import SchemaError

from agents.runtime import engine, tools
from agents.runtime.spec import FailureKind
from agents.runtime.tools import (
    OUTPUT_LIMIT_BYTES,
    TOO_MUCH,
    Output,
    ToolFailed,
    ToolRegistry,
    bounded,
    storable,
)
from kernel.errors import NotFound
from tests.agents.runtime.factories import CONTEXT, Recorder, make_spec, make_tool, run
from tests.peers.openai_server import openai_peer
from tests.peers.script import Answer

DONE = Answer(text="Done.")


def error_told(asked: tuple[str, Any], **tool: Any) -> str:
    """The error the model reads after it asked for that call."""
    journal = Recorder()
    with openai_peer(Answer(tool_calls=(asked,)), DONE) as peer:
        result = run(peer, make_spec(tools=("shout",)), make_tool(**tool), journal=journal)

    (finished,) = journal.of("finished")
    assert (result.status, finished.result) == ("success", None)
    assert json.loads(peer.requests[1].body["messages"][-1]["content"])["error"] == finished.error
    return str(finished.error)


def test_an_unknown_tool_is_named() -> None:
    told = error_told(("rm_rf", {}))

    assert told == "There is no tool called 'rm_rf'. You have: shout."


def test_arguments_are_checked_before_the_call() -> None:
    def never(_context: Any, _arguments: Mapping[str, Any]) -> None:
        raise AssertionError

    told = error_told(("shout", {"text": 5}), call=never)

    assert told == "The arguments do not fit: $.text: 5 is not of type 'string'."


@pytest.mark.parametrize("written", ["{not json", "[1, 2]", '"text"'])
def test_arguments_that_are_no_object_are_refused(written: str) -> None:
    told = error_told(("shout", written))

    assert told == "The arguments are not a JSON object. Send one that fits the tool's schema."


def test_a_tools_own_refusal_is_passed_on() -> None:
    async def refuse(_context: Any, _arguments: Mapping[str, Any]) -> None:
        raise ToolFailed("There is no such city.")

    assert error_told(("shout", {"text": "x"}), call=refuse) == "There is no such city."


def test_a_refusal_is_told_without_what_no_database_takes() -> None:
    async def refuse(_context: Any, _arguments: Mapping[str, Any]) -> None:
        raise ToolFailed("bad\x00thing \ud800")

    assert error_told(("shout", {"text": "x"}), call=refuse) == "badthing ?"


def test_an_answer_of_too_many_values_is_not_looked_through() -> None:
    async def flood(_context: Any, _arguments: Mapping[str, Any]) -> Any:
        return [[]] * 60_000

    assert error_told(("shout", {"text": "x"}), call=flood) == TOO_MUCH


def test_what_people_approve_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[str] = []

    def checked(when: str) -> Any:
        def misfit(*_: Any) -> str:
            checks.append(when)
            return ""

        return misfit

    monkeypatch.setattr(tools, "misfit", checked("again"))
    monkeypatch.setattr(engine, "misfit", checked("before"))
    with openai_peer(Answer(tool_calls=(("shout", {"text": "x"}),)), DONE) as peer:
        run(peer, make_spec(tools=("shout",)), make_tool(needs_approval=True))

    assert checks == ["before"]


def test_a_domain_error_is_passed_on() -> None:
    def refuse(_context: Any, _arguments: Mapping[str, Any]) -> None:
        raise NotFound

    told = error_told(("shout", {"text": "x"}), call=refuse)

    assert told == "No such object. Check the id and your organization."


def test_a_fault_of_a_tool_shows_its_type_only() -> None:
    async def fail(_context: Any, _arguments: Mapping[str, Any]) -> None:
        raise ValueError("password=hunter2")

    told = error_told(("shout", {"text": "x"}), call=fail)

    assert told == "The tool failed unexpectedly (ValueError)."


def test_a_slow_tool_is_given_up() -> None:
    async def sleep(_context: Any, _arguments: Mapping[str, Any]) -> None:
        await asyncio.sleep(30)

    told = error_told(("shout", {"text": "x"}), call=sleep, timeout_seconds=0.05)

    assert told == "The tool did not end within 0.05 s."


def test_a_tools_own_timeout_is_not_taken_for_ours() -> None:
    async def fail(_context: Any, _arguments: Mapping[str, Any]) -> None:
        raise TimeoutError

    told = error_told(("shout", {"text": "x"}), call=fail)

    assert told == "The tool failed unexpectedly (TimeoutError)."


def test_a_tool_the_hub_lacks_fails_before_any_model_call() -> None:
    with openai_peer(DONE) as peer:
        result = run(peer, make_spec(tools=("shout", "teleport")), make_tool())

    assert result.error is not None
    assert result.error.kind is FailureKind.TOOL_UNKNOWN
    assert "teleport" in result.error.message
    assert peer.requests == []


def test_a_registered_tool_that_is_not_enabled_stays_out_of_reach() -> None:
    journal = Recorder()
    script = (Answer(tool_calls=(("secret", {"text": "x"}),)), DONE)

    with openai_peer(*script) as peer:
        spec = make_spec(tools=("shout",))
        run(peer, spec, make_tool(), make_tool("secret"), journal=journal)

    offered = [tool["function"]["name"] for tool in peer.requests[0].body["tools"]]
    assert offered == ["shout"]
    assert journal.of("finished")[0].error.startswith("There is no tool called 'secret'.")


def test_a_blocking_tool_leaves_the_loop_free() -> None:
    threads = []

    def block(_context: Any, arguments: Mapping[str, Any]) -> str:
        threads.append(threading.current_thread())
        return str(arguments["text"])

    with openai_peer(Answer(tool_calls=(("shout", {"text": "x"}),)), DONE) as peer:
        run(peer, make_spec(tools=("shout",)), make_tool(call=block))

    assert threads[0].name.startswith("hub-tool")


def test_five_calls_run_at_once_and_results_keep_the_models_order() -> None:
    running: list[str] = []
    widest: list[int] = []

    async def wait(_context: Any, arguments: Mapping[str, Any]) -> str:
        text = str(arguments["text"])
        running.append(text)
        widest.append(len(running))
        await asyncio.sleep(0.05 if text in "02468" else 0.01)
        running.remove(text)
        return text

    calls = tuple(("shout", {"text": str(number)}) for number in range(9))
    with openai_peer(Answer(tool_calls=calls), DONE) as peer:
        run(peer, make_spec(tools=("shout",)), make_tool(call=wait))

    results = [m["content"] for m in peer.requests[1].body["messages"] if m["role"] == "tool"]
    assert max(widest) == 5
    assert results == [str(number) for number in range(9)]


def test_call_ids_are_unique_even_if_the_server_repeats_them() -> None:
    journal = Recorder()
    repeated = Answer(tool_calls=(("shout", {"text": "a"}),) * 2, call_ids=("call_0", "call_0"))

    with openai_peer(repeated, repeated, DONE) as peer:
        run(peer, make_spec(tools=("shout",)), make_tool(), journal=journal)

    ids = [call.id for call in journal.of("started")]
    answered = [m["tool_call_id"] for m in peer.requests[2].body["messages"] if m["role"] == "tool"]
    assert len(set(ids)) == 4
    assert answered == ids


def test_a_tool_learns_on_whose_behalf_it_is_called() -> None:
    seen = []

    def look(context: Any, _arguments: Mapping[str, Any]) -> None:
        seen.append(context)

    with openai_peer(Answer(tool_calls=(("shout", {"text": "x"}),)), DONE) as peer:
        run(peer, make_spec(tools=("shout",)), make_tool(call=look))

    assert seen == [replace(CONTEXT, call_id=seen[0].call_id)]
    assert seen[0].call_id


def test_output_is_cut_at_fifty_kilobytes_of_utf8() -> None:
    cut = bounded("ä" * 40_000)

    assert cut.value.endswith("ä… [cut: 80000 bytes, of which the tool may return 50000]")
    assert OUTPUT_LIMIT_BYTES - 2 < len(cut.value.encode()) <= OUTPUT_LIMIT_BYTES
    assert cut.whole == "ä" * 40_000
    assert bounded({"rows": list(range(20_000))}).value.startswith('{"rows": [0, 1, 2')
    assert bounded("x" * 50_000) == Output("x" * 50_000)


def test_what_is_kept_of_a_huge_output_is_bounded_too() -> None:
    assert len(bounded("x" * 6_000_000).whole) == 5_000_000


def test_output_becomes_plain_json() -> None:
    assert bounded({1: (1, 2.5), "none": None, "who": CONTEXT.run_id}).value == {
        "1": [1, 2.5],
        "none": None,
        "who": "00000000-0000-0000-0000-000000000003",
    }
    assert storable([float("nan"), True, "a\x00b", "\ud800"]) == ["nan", True, "ab", "?"]


def test_a_name_is_registered_once_and_schemas_are_checked() -> None:
    tools = ToolRegistry([make_tool()])

    with pytest.raises(ValueError, match="shout is registered twice"):
        tools.add(make_tool())
    with pytest.raises(SchemaError):
        tools.add(make_tool("odd", parameters={"type": "nothing"}))
    assert (tools.names(), tools.missing(["a", "shout", "b"])) == (["shout"], ["a", "b"])
