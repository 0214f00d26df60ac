"""Calls that need a person's word: which are made, which are not, and what the run says."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from agents.runtime import failures
from agents.runtime.failures import RunStopped
from agents.runtime.journal import Verdict
from agents.runtime.spec import FailureKind
from tests.agents.runtime.factories import Recorder, make_spec, make_tool, run
from tests.peers.openai_server import openai_peer
from tests.peers.script import Answer

APPROVAL = UUID(int=9)
PENDING = Verdict(pending=failures.approval_pending("shout", APPROVAL))
TWO = Answer(tool_calls=(("shout", {"text": "a"}), ("whisper", {"text": "b"})))
DONE = Answer(text="Done.")


def test_what_needs_nobody_is_made_before_the_run_stops() -> None:
    journal = Recorder(verdicts={"a": PENDING})
    tools = make_tool(needs_approval=True), make_tool("whisper")

    with openai_peer(TWO, DONE) as peer:
        result = run(peer, make_spec(tools=("shout", "whisper")), *tools, journal=journal)

    assert result.error is not None
    assert (result.error.kind, result.error.held_by) == (FailureKind.APPROVAL_PENDING, APPROVAL)
    assert [each.tool for each in journal.of("finished")] == ["whisper"]
    assert [each.tool for each in journal.of("started")] == ["whisper"]
    assert len(peer.requests) == 1


def test_a_run_that_goes_on_asks_only_for_what_is_open() -> None:
    tools = make_tool(needs_approval=True), make_tool("whisper")
    spec = make_spec(tools=("shout", "whisper"))
    first, second = Recorder(verdicts={"a": PENDING}), Recorder()

    with openai_peer(TWO, DONE) as peer:
        run(peer, spec, *tools, journal=first)
        again = make_spec(tools=("shout", "whisper"), log=first.log())
        result = run(peer, again, *tools, journal=second)

    assert (result.status, result.output) == ("success", "Done.")
    assert second.names() == ["asked", "started", "finished", "request", "answered"]


def test_a_refusal_is_what_the_model_reads() -> None:
    journal = Recorder(verdicts={"a": Verdict(refusal="A person refused this call.")})

    with openai_peer(TWO, DONE) as peer:
        tools = make_tool(needs_approval=True), make_tool("whisper")
        result = run(peer, make_spec(tools=("shout", "whisper")), *tools, journal=journal)

    (refused,) = journal.of("refused")
    assert (result.status, refused.error) == ("success", "A person refused this call.")
    assert "A person refused this call." in str(peer.requests[1].body["messages"])


def test_nobody_is_asked_about_a_call_that_cannot_be_made() -> None:
    journal = Recorder()
    calls = Answer(tool_calls=(("shout", {"text": 5}), ("whisper", {"text": "b"})))
    tools = make_tool(needs_approval=True), make_tool("whisper", refusal="Not for this agent.")

    with openai_peer(calls, DONE) as peer:
        run(peer, make_spec(tools=("shout", "whisper")), *tools, journal=journal)

    assert journal.of("asked") == []
    assert [each.error for each in journal.of("refused")] == [
        "The arguments do not fit: $.text: 5 is not of type 'string'.",
        "Not for this agent.",
    ]


def test_a_tool_that_cannot_go_on_now_stops_the_run_once_the_others_have_ended() -> None:
    journal = Recorder(verdicts={"a": PENDING})

    async def wait(_context: Any, _arguments: Mapping[str, Any]) -> None:
        raise RunStopped(failures.breaker_open("The breaker is open.", seconds=9))

    calls = Answer(tool_calls=(*TWO.tool_calls, ("speak", {"text": "c"})))
    tools = make_tool(needs_approval=True), make_tool("whisper", call=wait), make_tool("speak")
    with openai_peer(calls) as peer:
        spec = make_spec(tools=("shout", "whisper", "speak"))
        result = run(peer, spec, *tools, journal=journal)

    assert result.error is not None
    assert result.error.kind is FailureKind.BREAKER_OPEN
    assert [each.tool for each in journal.of("finished")] == ["speak"]
