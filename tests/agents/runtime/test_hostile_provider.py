"""A provider that means harm: it ends its own run at most, never the worker."""

import gzip
from typing import Any

import orjson
import pytest

from agents.runtime.clients import transport
from agents.runtime.failures import timed_out
from agents.runtime.spec import FailureKind, Guardrails, RunResult
from agents.runtime.tools import storable
from tests.agents.runtime.factories import Recorder, make_spec, make_tool, run
from tests.agents.runtime.test_providers import Place, everywhere
from tests.peers.model_server import event
from tests.peers.openai_server import openai_peer
from tests.peers.script import Answer, Raw

DONE = Answer(text="Done.")


def kind_of(result: RunResult) -> FailureKind:
    assert result.error is not None
    return result.error.kind


def chunk(**fields: Any) -> bytes:
    """An event of the chat-completions API whose fields the test chooses."""
    start = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return event({**start, **fields}).encode()


def delta(**fields: Any) -> bytes:
    return chunk(choices=[{"index": 0, "delta": fields, "finish_reason": None}])


def call(number: int) -> dict[str, Any]:
    return {"index": number, "id": f"c{number}", "function": {"name": "x", "arguments": "{}"}}


def test_thousands_of_calls_in_one_event_end_the_run_at_the_bound() -> None:
    journal = Recorder()
    calls = [call(number) for number in range(5000)]

    with openai_peer(Raw(body=delta(tool_calls=calls))) as peer:
        result = run(peer, make_spec(tools=("shout",)), make_tool(), journal=journal)

    assert result.error is not None
    assert (result.error.kind, result.error.retryable) == (FailureKind.GUARDRAIL_TOOL_CALLS, False)
    assert journal.names() == ["request", "failed"]


def test_a_hundred_calls_too_many_are_still_on_record() -> None:
    journal = Recorder()
    calls = (("shout", {"text": "x"}),) * 100

    with openai_peer(Answer(tool_calls=calls)) as peer:
        spec = make_spec(tools=("shout",), guardrails={"max_tool_calls": 0})
        result = run(peer, spec, make_tool(), journal=journal)

    assert kind_of(result) is FailureKind.GUARDRAIL_TOOL_CALLS
    assert (result.tool_calls, journal.names()) == (100, ["request", "answered"])


@pytest.mark.parametrize(
    "asked", [("n" * 2000, {}), ("shout", {"text": "x" * 2000})], ids=["name", "arguments"]
)
def test_names_and_arguments_count_towards_the_size(
    asked: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.runtime.model_call.MAX_ANSWER_CHARACTERS", 1000)

    with openai_peer(Answer(tool_calls=(asked,))) as peer:
        result = run(peer, make_spec(tools=("shout",)), make_tool())

    assert kind_of(result) is FailureKind.PROVIDER_BAD_RESPONSE


def test_thoughts_and_texts_in_turn_are_no_answer() -> None:
    bits = (delta(reasoning_content="a") + delta(content="b")) * 2000

    with openai_peer(Raw(body=bits)) as peer:
        result = run(peer, make_spec())

    assert kind_of(result) is FailureKind.PROVIDER_BAD_RESPONSE


@everywhere
@pytest.mark.parametrize(
    "step",
    [
        Raw(body=b": wait\n\n" * 30_000),
        Raw(body=gzip.compress(b": wait\n\n" * 100), content_encoding="gzip"),
    ],
    ids=["lines", "compressed"],
)
def test_a_response_without_end_is_left(
    place: Place, step: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "MAX_RESPONSE_BYTES", 200_000)

    with place.peer(step) as peer:
        result = run(peer, place.spec())

    assert kind_of(result) is FailureKind.PROVIDER_BAD_RESPONSE


def test_a_line_beyond_its_bound_is_left_before_the_whole_is() -> None:
    line = b"data: " + b"x" * transport.MAX_LINE_BYTES

    with openai_peer(Raw(body=line)) as peer:
        result = run(peer, make_spec())

    assert kind_of(result) is FailureKind.PROVIDER_BAD_RESPONSE


def test_many_lines_may_be_longer_together_than_one() -> None:
    end = chunk(choices=[{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}])
    wait = b": " + b"x" * 1000 + b"\n\n"

    with openai_peer(Raw(body=wait * 600 + end)) as peer:
        result = run(peer, make_spec())

    assert (result.status, result.output) == ("success", "ok")


@pytest.mark.parametrize("name", ["sho\x00ut", "shout\x00", "\ud800", "s" * 129])
def test_a_name_no_column_takes_is_an_unknown_tool(name: str) -> None:
    journal = Recorder()
    asked = Answer(tool_calls=((name, {"text": "x"}),))

    with openai_peer(asked, DONE) as peer:
        result = run(peer, make_spec(tools=("shout",)), make_tool(), journal=journal)

    (finished,) = journal.of("finished")
    stored = journal.of("started")[0].tool
    assert result.status == "success"
    assert finished.error.startswith("There is no tool called ")
    assert (len(stored) <= 128, finished.tool) == (True, stored)
    assert stored.encode().count(b"\x00") == 0


def test_a_lone_surrogate_does_not_break_the_next_request() -> None:
    asked = Answer(text="\ud800", tool_calls=(("shout", {"text": "x"}), ("shout", '"\udfff"')))

    with openai_peer(asked, DONE) as peer:
        result = run(peer, make_spec(tools=("shout",)), make_tool())

    assert (result.status, len(peer.requests)) == ("success", 2)


@pytest.mark.parametrize("call_id", ["a\x00b", "\ud800", "i" * 300])
def test_call_ids_are_made_to_fit_and_stay_unique(call_id: str) -> None:
    journal = Recorder()
    asked = Answer(tool_calls=(("shout", {"text": "x"}),) * 2, call_ids=(call_id, call_id))
    spec = make_spec(tools=("shout",))

    with openai_peer(asked, DONE) as peer:
        run(peer, spec, make_tool(), journal=journal)
    with openai_peer(DONE) as again:
        resumed = run(again, make_spec(tools=("shout",), log=journal.log()[:3]), make_tool())

    ids = [started.id for started in journal.of("started")]
    assert len(set(ids)) == 2
    assert all(len(one.encode()) <= 257 and "\x00" not in one for one in ids)
    assert [finished.id for finished in journal.of("finished")] == ids
    assert (resumed.status, resumed.tool_calls) == ("success", 2)
    assert again.requests[0].body["messages"] == peer.requests[1].body["messages"]


@pytest.mark.parametrize(
    ("sent", "written"),
    [(2**31, 5), (5, 10**30), (-5, 5), (5, -5), (0, 0), (50_000, 5), (5, 2_000_000)],
)
@pytest.mark.filterwarnings("ignore:Failed to extract usage")
def test_figures_that_cannot_be_true_are_none(sent: int, written: int) -> None:
    journal = Recorder()

    with openai_peer(Answer(text="ok", input_tokens=sent, output_tokens=written)) as peer:
        result = run(peer, make_spec(), journal=journal)

    turn = journal.of("answered")[0]
    assert result.status == "success"
    assert (turn.usage.total_tokens, turn.usage.unmeasured_requests) == (0, 1)
    assert orjson.dumps(turn.message)
    assert run(None, make_spec(log=journal.log()), url=peer.url).usage == result.usage


def test_a_model_name_is_made_to_fit() -> None:
    journal = Recorder()
    end = [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}]
    body = chunk(model="m\x00" + "m" * 200, choices=end)

    with openai_peer(Raw(body=body)) as peer:
        result = run(peer, make_spec(), journal=journal)

    turn = journal.of("answered")[0]
    assert (result.status, len(turn.model), turn.model[:3]) == ("success", 128, "m\ufffdm")
    assert turn.message["model_name"] == turn.model


@pytest.mark.parametrize("written", ['{"text": 1%s}' % ("0" * 30), {"text": 10**30}])
def test_an_integer_beyond_64_bits_is_refused_by_the_schema(written: Any) -> None:
    journal = Recorder()

    with openai_peer(Answer(tool_calls=(("shout", written),)), DONE) as peer:
        schema = {"type": "object", "properties": {"text": {"type": "integer"}}}
        result = run(
            peer,
            make_spec(tools=("shout",)),
            make_tool(parameters=schema),
            journal=journal,
        )

    told = journal.of("finished")[0].error
    assert result.status == "success"
    assert told == f"The arguments do not fit: $.text: '{10**30}' is not of type 'integer'."
    assert orjson.dumps(journal.of("started")[0].arguments)


def test_integers_are_kept_within_64_bits() -> None:
    assert storable([2**63 - 1, -(2**63)]) == [2**63 - 1, -(2**63)]
    assert storable([2**63, {"n": -(10**20)}]) == [str(2**63), {"n": "-100000000000000000000"}]
    assert storable(2**40_000) == hex(2**40_000)


SHAPES = {
    "choices": chunk(choices="x"),
    "choice": chunk(choices=[5]),
    "delta": chunk(choices=[{"index": 0, "delta": "x", "finish_reason": None}]),
    "content": delta(content=5) + delta(content=5),
    "calls": delta(tool_calls="x"),
    "call": delta(tool_calls=[5]),
    "name": delta(tool_calls=[{"index": 0, "id": "1", "function": {"name": 5}}]),
    "usage": chunk(choices=[], usage="x"),
    "date": chunk(choices=[], created=10**30),
}


@pytest.mark.parametrize("body", SHAPES.values(), ids=SHAPES.keys())
def test_json_of_another_shape_is_a_bad_response(body: bytes) -> None:
    end = chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])

    with openai_peer(Raw(body=body + end)) as peer:
        result = run(peer, make_spec(tools=("shout",)), make_tool())

    assert kind_of(result) is FailureKind.PROVIDER_BAD_RESPONSE


@pytest.mark.parametrize(
    ("seconds", "shown"), [(2.8444, "2.8"), (0.4, "0.4"), (120, "120"), (61.27, "61")]
)
def test_a_deadline_is_told_in_a_sensible_figure(seconds: float, shown: str) -> None:
    told = timed_out(Guardrails(timeout_seconds=seconds)).message

    assert told.startswith(f"The run did not end within its {shown} s (timeout_seconds). ")
