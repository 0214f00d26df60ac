"""Answers that must fit a schema."""

import json
from typing import Any

import pytest

from agents.runtime.outputs import ANY_OBJECT, OutputCheck
from agents.runtime.spec import FailureKind
from tests.agents.runtime.factories import Recorder, make_spec, make_tool, run
from tests.peers.anthropic_server import anthropic_peer
from tests.peers.google_server import google_peer
from tests.peers.openai_server import openai_peer
from tests.peers.script import Answer

SCHEMA = {
    "type": "object",
    "properties": {"sum": {"type": "integer"}},
    "required": ["sum"],
    "additionalProperties": False,
}
GOOD = Answer(text='{"sum": 42}')
TOLD = (
    "Your answer does not fit the schema: $.sum: 'many' is not of type 'integer'."
    " Answer again, with nothing but the JSON."
)


@pytest.mark.parametrize("tools", [(), ("shout",)], ids=["alone", "beside tools"])
@pytest.mark.parametrize(
    ("provider", "peer", "model"),
    [
        ("openai", openai_peer, "gpt-5.6-luna"),
        ("anthropic", anthropic_peer, "claude-sonnet-5-5"),
        ("google", google_peer, "gemini-3.8-flash"),
    ],
    ids=["openai", "anthropic", "google"],
)
def test_each_provider_is_asked_for_it(
    provider: str, peer: type, model: str, tools: tuple[str, ...]
) -> None:
    with peer(GOOD) as served:
        spec = make_spec(provider=provider, model=model, tools=tools, output_schema=SCHEMA)
        result = run(served, spec, make_tool())

    assert (result.status, json.loads(result.output)) == ("success", {"sum": 42})
    assert '"sum"' in json.dumps(served.requests[0].body).replace("\\", "")


@pytest.mark.parametrize(
    "schema", [{"$ref": "file:///etc/passwd"}, {"type": "string", "pattern": "^(a+)+$"}]
)
def test_no_answer_fits_a_schema_from_before_they_were_looked_at(schema: dict[str, Any]) -> None:
    check = OutputCheck(schema)

    assert check.wrong('"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"').startswith(
        "No answer can fit"
    )


def test_an_answer_that_would_take_long_to_check_is_not_checked() -> None:
    check = OutputCheck({"items": {"anyOf": [{"const": number} for number in range(1_000)]}})

    assert "too much of it to check" in check.wrong(json.dumps([-1] * 400))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ('{"a": "\\ud800"}', "cannot be kept"),
        ('{"\\u0000": 1}', "cannot be kept"),
        ('{"a": [1e999]}', "cannot be kept"),
        ('{"a": NaN}', "is not JSON"),
        ('{"a": -Infinity}', "is not JSON"),
    ],
)
def test_an_answer_that_no_reader_could_take_is_refused(answer: str, said: str) -> None:
    assert said in OutputCheck(ANY_OBJECT).wrong(answer)


def test_a_wrong_answer_is_told_to_the_model() -> None:
    journal = Recorder()
    with openai_peer(Answer(text='{"sum": "many"}'), GOOD) as peer:
        result = run(peer, make_spec(output_schema=SCHEMA), journal=journal)

    assert (result.status, result.output) == ("success", '{"sum": 42}')
    assert peer.requests[1].body["messages"][-1]["content"] == TOLD
    assert [turn.ordinal for turn in journal.of("answered")] == [1, 2]


def test_the_third_wrong_answer_ends_the_run() -> None:
    with openai_peer(*[Answer(text="No idea.")] * 3) as peer:
        result = run(peer, make_spec(output_schema=SCHEMA))

    assert result.error is not None
    assert result.error.kind is FailureKind.GUARDRAIL_OUTPUT
    assert result.error.message == (
        "The model answered 3 times and never as output_schema asks. It was told: Your answer is"
        " not JSON. Answer again, with nothing but the JSON. Simplify the schema or choose another"
        " model."
    )


def test_a_run_that_was_cut_off_knows_what_the_model_was_told() -> None:
    journal = Recorder()
    wrong = Answer(text='{"sum": "many"}')
    with openai_peer(wrong, wrong, GOOD) as peer:
        run(peer, make_spec(output_schema=SCHEMA), journal=journal)
    log = journal.log()[:2]

    with openai_peer(GOOD) as peer:
        result = run(peer, make_spec(output_schema=SCHEMA, log=log))

    said = [m["content"] for m in peer.requests[0].body["messages"] if m["role"] == "user"]
    assert said == ["Say hello.", TOLD, TOLD]
    assert result.status == "success"


def test_any_object_will_do_and_fences_are_taken_off() -> None:
    with openai_peer(Answer(text='```json\n{"a": 1}\n```')) as peer:
        result = run(peer, make_spec(output_schema=ANY_OBJECT))

    assert result.output == '{"a": 1}'
    assert peer.requests[0].body["response_format"] == {"type": "json_object"}
