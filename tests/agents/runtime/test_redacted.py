"""What model and tools say passes `RunSpec.redact` before anybody reads it."""

import json
from typing import Any, Final

import pytest
from pydantic_ai.messages import ModelResponse, TextPart, ThinkingPart, ToolCallPart

from agents.runtime import history
from agents.runtime.tools import ToolFailed, bounded
from tests.agents.runtime.factories import Recorder, make_spec, make_tool, run
from tests.peers.openai_server import openai_peer
from tests.peers.script import Answer

SECRET: Final = "SECRET"


def redact(value: Any) -> Any:
    """Text by text, as the hub's own does it."""
    if isinstance(value, str):
        return value.replace(SECRET, "*")
    if isinstance(value, dict):
        return {redact(key): redact(each) for key, each in value.items()}
    return [redact(each) for each in value] if isinstance(value, list) else value


def said(*parts: Any, **more: Any) -> ModelResponse:
    """The answer of these parts as the conversation takes it."""
    talk = history.Conversation(instructions=None, messages=[], redact=redact)
    return talk.add_answer(ModelResponse(parts=list(parts), **more))


def test_texts_thoughts_calls_and_names_are_redacted() -> None:
    answer = said(
        ThinkingPart("I know SECRET", signature="signed"),
        TextPart("It is SECRET"),
        ToolCallPart("look", {"at": [SECRET]}, "1"),
        ToolCallPart("SECRET", '{"at": "\\u0053ECRET"}', "SECRET"),
        ToolCallPart("look", "no JSON: SECRET", "3"),
        model_name="gpt-SECRET",
    )

    assert answer.model_name == "gpt-*"
    assert answer.parts == [
        ThinkingPart("I know *"),
        TextPart("It is *"),
        ToolCallPart("look", {"at": ["*"]}, "1"),
        ToolCallPart("*", {"at": "*"}, "*"),
        ToolCallPart("look", "no JSON: *", "3"),
    ]


def test_what_has_no_secret_stays_as_it_was_written_and_signed() -> None:
    parts = [ThinkingPart("Hm", signature="signed"), ToolCallPart("look", '{"at":  1}', "1")]

    assert said(*parts).parts == parts


def test_a_secret_that_goes_over_two_texts_is_one() -> None:
    answer = said(ThinkingPart("Hm"), TextPart("It is SEC"), ToolCallPart("a"), TextPart("RET!"))

    assert history.text_of(answer) == "It is *!"
    assert [part.part_kind for part in answer.parts] == ["thinking", "text", "tool-call"]


def test_an_output_is_redacted_before_it_is_cut() -> None:
    cut = bounded("x" * 60 + SECRET + "y" * 100, 120, redact)

    assert "SEC" not in cut.value
    assert cut.whole == "x" * 60 + "*" + "y" * 100


@pytest.mark.parametrize("failing", [True, False])
def test_model_and_journal_read_results_without_secrets(*, failing: bool) -> None:
    async def call(_context: Any, _arguments: Any) -> Any:
        if failing:
            raise ToolFailed("not with SECRET")
        return {"key": SECRET}

    script = (Answer(tool_calls=(("shout", {"text": "?"}),)), Answer(text="It was SECRET."))
    journal, spec = Recorder(), make_spec(tools=("shout",), redact=redact)
    with openai_peer(*script) as peer:
        result = run(peer, spec, make_tool(call=call), journal=journal)

    assert result.output == "It was *."
    assert SECRET not in json.dumps([request.body for request in peer.requests])
    # What is live is the journal's to hold back.
    assert SECRET not in str([event for event in journal.events if event[0] != "delta"])
