"""The loop: order, limits, interruption, and going on where another process stopped."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from agents.runtime import engine, failures
from agents.runtime.failures import RunStopped
from agents.runtime.spec import FailureKind, RunResult
from agents.runtime.tools import ToolRegistry
from tests.agents.runtime.factories import (
    Recorder,
    make_spec,
    make_tool,
    registry,
    run,
    shout,
)
from tests.peers.anthropic_server import anthropic_peer
from tests.peers.google_server import google_peer
from tests.peers.model_server import ModelPeer
from tests.peers.openai_server import openai_peer
from tests.peers.script import STEPS, Answer, Endless, Hang

SHOUT_HI = Answer(tool_calls=(("shout", {"text": "hi"}),))
SHOUT_TWICE = Answer(tool_calls=(("shout", {"text": "a"}), ("shout", {"text": "b"})))
DONE = Answer(text="Done.")


def failure_of(result: RunResult) -> tuple[str, FailureKind, str]:
    assert result.error is not None
    return result.status, result.error.kind, result.error.message


def test_turns_are_numbered_and_carry_what_the_provider_said() -> None:
    journal = Recorder()

    with openai_peer(SHOUT_HI, DONE) as peer:
        run(peer, make_spec(tools=("shout",)), make_tool(), journal=journal)

    first, second = journal.of("answered")
    assert (first.ordinal, first.text, first.finish_reason) == (1, "", "tool_call")
    assert (second.ordinal, second.text, second.tool_calls) == (2, "Done.", ())
    assert first.tool_calls == (journal.of("started")[0],)
    assert (first.provider, first.model) == ("openai", "gpt-5.6-luna-2026-06-01")
    assert first.usage.total_tokens == 15


def test_the_call_beyond_the_limit_fails_the_run_before_it_is_made() -> None:
    journal = Recorder()

    with openai_peer(SHOUT_HI, SHOUT_TWICE, DONE) as peer:
        spec = make_spec(tools=("shout",), guardrails={"max_tool_calls": 2})
        result = run(peer, spec, make_tool(), journal=journal)

    assert failure_of(result) == (
        "error",
        FailureKind.GUARDRAIL_TOOL_CALLS,
        "The model asked for 3 tool calls, and max_tool_calls is 2. Raise it or make the"
        " instructions narrower.",
    )
    assert len(journal.of("started")) == 1


def test_as_many_calls_as_allowed_are_made() -> None:
    with openai_peer(SHOUT_TWICE, DONE) as peer:
        spec = make_spec(tools=("shout",), guardrails={"max_tool_calls": 2})
        result = run(peer, spec, make_tool())

    assert (result.status, result.tool_calls) == ("success", 2)


def test_tokens_beyond_the_limit_stop_the_run() -> None:
    with openai_peer(Answer(tool_calls=(("shout", {"text": "hi"}),), input_tokens=90)) as peer:
        spec = make_spec(tools=("shout",), guardrails={"max_total_tokens": 100})
        result = run(peer, spec, make_tool())

    assert failure_of(result)[1] is FailureKind.GUARDRAIL_TOKENS
    assert (result.usage.total_tokens, len(peer.requests)) == (190, 2)


def test_an_answer_that_overruns_the_tokens_is_kept_but_fails() -> None:
    with openai_peer(Answer(text="Long.", input_tokens=99, output_tokens=2)) as peer:
        result = run(peer, make_spec(guardrails={"max_total_tokens": 100}))

    assert failure_of(result)[:2] == ("error", FailureKind.GUARDRAIL_TOKENS)
    assert result.output == "Long."


@pytest.mark.parametrize("step", [Hang(), Endless()], ids=["silence", "endless"])
def test_the_timeout_bounds_the_provider_and_closes_the_stream(step: Hang | Endless) -> None:
    with openai_peer(step) as peer:
        result = run(peer, make_spec(guardrails={"timeout_seconds": 0.4}))

        assert peer.disconnected.wait(5)
    assert failure_of(result) == (
        "timeout",
        FailureKind.TIMEOUT,
        "The run did not end within its 0.4 s (timeout_seconds). Give it more time or a smaller"
        " task.",
    )


def test_the_timeout_bounds_tools_too() -> None:
    ends = []

    async def sleep(_context: Any, _arguments: Mapping[str, Any]) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ends.append("stopped")

    with openai_peer(SHOUT_HI) as peer:
        spec = make_spec(tools=("shout",), guardrails={"timeout_seconds": 2})
        result = run(peer, spec, make_tool(call=sleep))

    assert failure_of(result)[:2] == ("timeout", FailureKind.TIMEOUT)
    assert ends == ["stopped"]


def test_an_answer_larger_than_any_model_writes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.runtime.model_call.MAX_ANSWER_CHARACTERS", 1000)

    with openai_peer(Endless(pause_seconds=0)) as peer:
        result = run(peer, make_spec())

        assert peer.disconnected.wait(5)
    assert failure_of(result)[1] is FailureKind.PROVIDER_BAD_RESPONSE


@pytest.mark.parametrize("event", ["request", "delta", "answered", "started", "finished"])
def test_what_the_journal_raises_ends_the_run_as_it_is(event: str) -> None:
    journal = Recorder(break_at=event)
    script = (Answer(text="Wait.", tool_calls=SHOUT_HI.tool_calls), DONE)

    with openai_peer(*script) as peer, pytest.raises(LookupError) as raised:
        run(peer, make_spec(tools=("shout",)), make_tool(), journal=journal)

    assert raised.value is journal.error
    assert journal.events[-1][0] == event


def test_a_timeout_of_the_journal_is_not_taken_for_the_runs() -> None:
    journal = Recorder(break_at="started", error=TimeoutError("database"))

    with openai_peer(SHOUT_HI, DONE) as peer, pytest.raises(TimeoutError, match="database"):
        run(peer, make_spec(tools=("shout",)), make_tool(), journal=journal)


def test_cancelling_closes_the_stream() -> None:
    async def go(peer: ModelPeer) -> None:
        async with registry(peer) as providers:
            spec = make_spec()
            task = asyncio.create_task(
                engine.run(spec, providers=providers, tools=ToolRegistry(), journal=Recorder())
            )
            await asyncio.to_thread(peer.received.wait, 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(peer.disconnected.wait, 5)

    with openai_peer(Endless()) as peer:
        asyncio.run(go(peer))


def test_cancelling_stops_the_tools_that_run() -> None:
    async def go(peer: ModelPeer) -> None:
        began, ended = asyncio.Event(), asyncio.Event()

        async def wait(_context: Any, _arguments: Mapping[str, Any]) -> None:
            began.set()
            try:
                await asyncio.sleep(30)
            finally:
                ended.set()

        async with registry(peer) as providers:
            tools = ToolRegistry([make_tool(call=wait)])
            spec = make_spec(tools=("shout",))
            task = asyncio.create_task(
                engine.run(spec, providers=providers, tools=tools, journal=Recorder())
            )
            await began.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert ended.is_set()

    with openai_peer(SHOUT_HI) as peer:
        asyncio.run(go(peer))


def test_fifty_runs_share_one_loop_and_one_client() -> None:
    def respond(body: Mapping[str, Any]) -> Answer:
        last = body["messages"][-1]
        if last["role"] == "tool":
            return Answer(text=last["content"])
        return Answer(tool_calls=(("shout", {"text": last["content"]}),))

    async def go(peer: ModelPeer) -> list[RunResult]:
        async with registry(peer) as providers:
            tools = ToolRegistry([make_tool()])
            specs = [make_spec(prompt=f"run {n}", tools=("shout",)) for n in range(50)]
            return await asyncio.gather(
                *(
                    engine.run(spec, providers=providers, tools=tools, journal=Recorder())
                    for spec in specs
                )
            )

    with openai_peer(respond=respond) as peer:
        results = asyncio.run(go(peer))

    assert [result.output for result in results] == [f"RUN {n}" for n in range(50)]
    assert len(peer.requests) == 100
    assert peer.connections < 100


@pytest.mark.parametrize("entries", [1, 2, 3, 4, 5])
def test_a_run_goes_on_after_any_entry_of_its_log(entries: int) -> None:
    whole = Recorder()
    spec = make_spec(tools=("shout",))
    with openai_peer(SHOUT_TWICE, SHOUT_HI, DONE) as peer:
        run(peer, spec, make_tool(), journal=whole)
    log = whole.log()[:entries]
    turns = sum(message["kind"] == "response" for message in log)

    rest = Recorder()
    with openai_peer(*(SHOUT_TWICE, SHOUT_HI, DONE)[turns:]) as again:
        result = run(again, make_spec(tools=("shout",), log=log), make_tool(), journal=rest)

    assert (result.status, result.output, result.tool_calls) == ("success", "Done.", 3)
    assert (result.usage.requests, result.usage.total_tokens) == (3, 45)
    assert len(rest.log()) == 6 - entries
    assert [turn.ordinal for turn in rest.of("answered")] == [1, 2, 3][turns:]
    assert again.requests[-1].body["messages"] == peer.requests[-1].body["messages"]


def test_a_run_whose_log_is_complete_ends_without_a_call() -> None:
    journal = Recorder()
    with openai_peer(DONE) as peer:
        run(peer, make_spec(), journal=journal)

        result = run(peer, make_spec(log=journal.log()))

    assert (result.status, result.output, len(peer.requests)) == ("success", "Done.", 1)


def test_guardrails_count_what_the_log_used() -> None:
    journal = Recorder()
    with openai_peer(SHOUT_TWICE, SHOUT_HI) as peer:
        spec = make_spec(tools=("shout",), guardrails={"max_tool_calls": 2})
        run(peer, spec, make_tool(), journal=journal)
        log = journal.log()[:3]

        spec = make_spec(tools=("shout",), guardrails={"max_tool_calls": 2}, log=log)
        result = run(peer, spec, make_tool())

    assert failure_of(result)[1] is FailureKind.GUARDRAIL_TOOL_CALLS


def test_an_earlier_conversation_comes_before_the_prompt() -> None:
    journal = Recorder()
    with anthropic_peer(Answer(text="Ada.")) as peer:
        spec = make_spec(provider="anthropic", model="claude-sonnet-5-5", prompt="My name is Ada.")
        run(peer, spec, journal=journal)
        question: Mapping[str, Any] = {
            "kind": "request",
            "parts": [{"part_kind": "user-prompt", "content": "My name is Ada."}],
        }

        spec = make_spec(
            provider="anthropic",
            model="claude-sonnet-5-5",
            prompt="Who am I?",
            history=(question, *journal.log()),
        )
        run(peer, spec)

    said = [(m["role"], m["content"][0]["text"]) for m in peer.requests[1].body["messages"]]
    assert said == [("user", "My name is Ada."), ("assistant", "Ada."), ("user", "Who am I?")]


def test_a_damaged_log_is_an_internal_failure() -> None:
    with openai_peer(DONE) as peer:
        result = run(peer, make_spec(log=({"kind": "nonsense"},)))

    assert failure_of(result)[1] is FailureKind.INTERNAL
    assert peer.requests == []


def test_an_empty_answer_at_the_token_limit_says_so() -> None:
    with openai_peer(Answer(text="", finish="length")) as peer:
        result = run(peer, make_spec())

    assert failure_of(result) == (
        "error",
        FailureKind.PROVIDER_REJECTED,
        "The model used up max_tokens before it wrote an answer. Raise max_tokens.",
    )


def test_an_answer_cut_at_the_token_limit_is_marked() -> None:
    journal = Recorder()

    with openai_peer(Answer(text="Half an", finish="length")) as peer:
        result = run(peer, make_spec(), journal=journal)

    assert (result.status, result.output) == ("success", "Half an")
    assert journal.of("answered")[0].finish_reason == "length"


def test_a_filtered_answer_fails() -> None:
    with openai_peer(Answer(text="", finish="content_filter")) as peer:
        result = run(peer, make_spec())

    assert failure_of(result)[1:] == (
        FailureKind.PROVIDER_REJECTED,
        "The content filter of OpenAI withheld the answer. Reword.",
    )


def test_an_answer_the_provider_calls_broken_is_no_answer() -> None:
    with google_peer(Answer(text="Half", finish="MALFORMED_FUNCTION_CALL")) as peer:
        result = run(peer, make_spec(provider="google", model="gemini-3.8-flash"))

    assert failure_of(result)[1] is FailureKind.PROVIDER_BAD_RESPONSE


def test_deltas_are_joined_and_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.runtime.model_call.DELTA_SECONDS", 3600)
    journal = Recorder()

    with openai_peer(Answer(text="one two three four")) as peer:
        run(peer, make_spec(), journal=journal)

    assert journal.of("delta") == ["one ", "two three four"]


def test_text_that_no_database_takes_is_cleaned() -> None:
    journal = Recorder()
    call = ("shout", {"text": "a\x00b"})

    with openai_peer(Answer(text="x\x00y", tool_calls=(call,)), Answer(text="\ud800ok")) as peer:
        result = run(peer, make_spec(tools=("shout",)), make_tool(call=shout), journal=journal)

    assert result.output == "?ok"
    assert journal.of("answered")[0].text == "xy"
    assert journal.of("finished")[0].result == "AB"
    assert "\\x00" not in repr(journal.events)


def test_a_registry_refuses_a_second_loop() -> None:
    async def open_registry(peer: ModelPeer) -> Any:
        async with registry(peer) as providers:
            providers.model("openai", "gpt-5.6-luna")
            return providers

    async def use(providers: Any) -> None:
        providers.model("openai", "gpt-5.6-luna")

    with openai_peer() as peer:
        providers = asyncio.run(open_registry(peer))

        with pytest.raises(RuntimeError, match="serves one event loop"):
            asyncio.run(use(providers))


def test_a_journal_that_refuses_a_call_ends_the_run_without_it() -> None:
    refusal = failures.breaker_open("Try again in 9 s.", seconds=9)
    journal = Recorder(break_at="request", error=RunStopped(refusal))

    with openai_peer(DONE) as peer:
        result = run(peer, make_spec(), journal=journal)

        assert not peer.requests
    assert (result.status, result.error) == ("error", refusal)
    assert journal.names() == ["request"]


def test_the_journal_is_told_of_a_call_that_failed() -> None:
    journal = Recorder()

    with openai_peer(STEPS["drop"]) as peer:
        result = run(peer, make_spec(), journal=journal)

    assert journal.names() == ["request", "failed"]
    assert journal.of("failed") == [result.error]
