"""Other models, asked when one cannot answer; and the names that go over the wire."""

from agents.runtime import failures
from agents.runtime.failures import RunStopped
from agents.runtime.journal import ModelCall
from agents.runtime.spec import FailureKind
from agents.runtime.toolset import wire_names
from tests.agents.runtime.factories import Recorder, make_spec, make_tool, run
from tests.peers.openai_server import openai_peer
from tests.peers.script import Answer, Refusal

DONE = Answer(text="Done.")
SHOUT = Answer(tool_calls=(("shout", {"text": "hi"}),))
FALLBACKS = (("openai", "second"), ("openai", "third"))


def asked(journal: Recorder) -> list[tuple[int, str]]:
    return [(call.ordinal, call.model) for call in journal.of("request")]


def test_the_next_model_answers_the_same_turn_and_the_rest_of_the_run() -> None:
    journal = Recorder()
    with openai_peer(Refusal(status=503), SHOUT, DONE) as peer:
        spec = make_spec(tools=("shout",), fallbacks=FALLBACKS)
        result = run(peer, spec, make_tool(), journal=journal)

    assert (result.status, result.output) == ("success", "Done.")
    assert asked(journal) == [(1, "gpt-5.6-luna"), (1, "second"), (2, "second")]
    assert [failure.kind for failure in journal.of("failed")] == ["provider_unavailable"]
    turns = journal.of("answered")
    assert [turn.ordinal for turn in turns] == [1, 2]
    assert [(each.model, each.kind) for each in turns[0].skipped] == [
        ("gpt-5.6-luna", "provider_unavailable")
    ]
    assert turns[1].skipped == ()  # it was not asked again


def test_only_when_nobody_answers_it_is_the_first_ones_failure() -> None:
    steps = Refusal(status=429), Refusal(status=503), Refusal(status=503)
    with openai_peer(*steps) as peer:
        result = run(peer, make_spec(fallbacks=FALLBACKS))

    assert result.error is not None
    assert result.error.kind is FailureKind.PROVIDER_RATE_LIMITED
    assert len(peer.requests) == 3


def test_a_request_that_is_wrong_is_nobody_elses_business() -> None:
    with openai_peer(Refusal(status=400)) as peer:
        result = run(peer, make_spec(fallbacks=FALLBACKS))

    assert result.error is not None
    assert result.error.kind is FailureKind.PROVIDER_REJECTED
    assert len(peer.requests) == 1


def test_a_model_whose_gate_is_shut_is_passed_over() -> None:
    class Shut(Recorder):
        async def model_request_started(self, call: ModelCall) -> None:
            await super().model_request_started(call)
            if call.model != "second":
                raise RunStopped(failures.breaker_open("It is open.", seconds=1))

    journal = Shut()
    with openai_peer(DONE) as peer:
        result = run(peer, make_spec(fallbacks=FALLBACKS), journal=journal)

    assert result.status == "success"
    assert [request.body["model"] for request in peer.requests] == ["second"]


def test_a_call_is_announced_with_bounds_that_hold() -> None:
    journal = Recorder()
    with openai_peer(SHOUT, DONE) as peer:
        spec = make_spec(tools=("shout",), max_tokens=77, prompt="äöü" * 100)
        run(peer, spec, make_tool(), journal=journal)

    first, second = journal.of("request")
    assert (first.output_tokens, second.output_tokens) == (77, 77)
    assert 600 < first.input_tokens < second.input_tokens < 2000


def test_names_that_a_provider_would_refuse_are_replaced_on_the_wire_only() -> None:
    journal = Recorder()
    name = "weather:forecast"
    call = Answer(tool_calls=(("weather_forecast", {"text": "hi"}),))

    with openai_peer(call, DONE) as peer:
        run(peer, make_spec(tools=(name,)), make_tool(name), journal=journal)

    offered = [tool["function"]["name"] for tool in peer.requests[0].body["tools"]]
    assert offered == ["weather_forecast"]
    assert [each.tool for each in journal.of("started")] == [name]
    assert [each.result for each in journal.of("finished")] == ["HI"]


def test_names_that_come_out_alike_are_told_apart_whatever_their_order() -> None:
    names = ["a:b", "a_b", "a/b"]

    made = wire_names(names)

    assert made["a_b"] == "a_b"
    assert len(set(made.values())) == 3
    assert made == wire_names(names[::-1])
    assert wire_names(["x" * 80])["x" * 80] == "x" * 64


def test_no_tool_is_called_as_another_ones_digest_would_have_it() -> None:
    taken = wire_names(["s:a/b", "s:a_b"])["s:a/b"]
    names = ["s:a/b", "s:a_b", taken, taken.replace("_", ":", 1)]

    made = wire_names(names)

    assert len(set(made.values())) == len(names)
    assert made[taken] == taken
    assert all(len(name) <= 64 for name in made.values())
    assert made == wire_names(names[::-1])
