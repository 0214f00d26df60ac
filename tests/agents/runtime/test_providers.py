"""Each provider over real HTTP: answers, tools, and every way to fail."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from agents.runtime import providers
from agents.runtime.providers import ProviderSettings
from agents.runtime.spec import FailureKind, Usage
from tests.agents.runtime.factories import Recorder, make_spec, make_tool, run
from tests.peers.anthropic_server import anthropic_peer
from tests.peers.google_server import google_peer
from tests.peers.model_server import KEY, ModelPeer
from tests.peers.openai_server import openai_peer
from tests.peers.script import (
    HTML,
    NOT_JSON,
    Answer,
    Broken,
    Hang,
    Raw,
    Refusal,
    Step,
)


@dataclass(frozen=True)
class Place:
    """A provider, its model, and who plays it."""

    name: str
    model: str
    label: str
    peer: Callable[..., ModelPeer]

    def spec(self, **fields: Any) -> Any:
        return make_spec(provider=self.name, model=self.model, **fields)


PLACES = (
    Place("openai", "gpt-5.6-luna", "OpenAI", openai_peer),
    Place("anthropic", "claude-sonnet-5-5", "Anthropic", anthropic_peer),
    Place("google", "gemini-3.8-flash", "Google", google_peer),
)
everywhere = pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)


@everywhere
def test_text_is_streamed_and_counted(place: Place) -> None:
    journal = Recorder()

    with place.peer(Answer(text="Hello there, world.", input_tokens=21, output_tokens=4)) as peer:
        result = run(peer, place.spec(), journal=journal)

    assert (result.status, result.output, result.error) == ("success", "Hello there, world.", None)
    assert result.usage == Usage(requests=1, input_tokens=21, output_tokens=4)
    assert "".join(journal.of("delta")) == "Hello there, world."
    assert journal.names() == ["request", "answered"]
    assert journal.of("answered")[0].finish_reason == "stop"


@everywhere
def test_a_tool_is_called_and_its_result_goes_back(place: Place) -> None:
    script = (Answer(tool_calls=(("shout", {"text": "hi"}),)), Answer(text="It shouts HI."))
    journal = Recorder()

    with place.peer(*script) as peer:
        result = run(peer, place.spec(tools=("shout",)), make_tool(), journal=journal)

    assert (result.output, result.tool_calls, result.usage.requests) == ("It shouts HI.", 1, 2)
    assert journal.names() == ["request", "answered", "started", "finished", "request", "answered"]
    assert journal.of("started")[0].arguments == {"text": "hi"}
    assert journal.of("finished")[0].result == "HI"
    assert '"HI"' in str(peer.requests[1].body).replace("'", '"')
    assert all(request.headers["user-agent"] for request in peer.requests)


@everywhere
def test_instructions_and_settings_reach_the_provider(place: Place) -> None:
    with place.peer(Answer(text="ok")) as peer:
        run(peer, place.spec(max_tokens=77))

    body = str(peer.requests[0].body)
    assert "Be brief." in body
    assert "Say hello." in body
    assert "77" in body


@pytest.mark.parametrize(
    ("provider", "model", "sent"),
    [
        ("openai", "llama3.3", 0.7),
        ("openai", "gpt-5.6-luna", None),
        ("anthropic", "claude-haiku-4-5", 0.7),
        ("anthropic", "claude-sonnet-5-5", None),
    ],
)
def test_temperature_is_sent_to_models_that_take_one(
    provider: str, model: str, sent: float | None
) -> None:
    play = {"openai": openai_peer, "anthropic": anthropic_peer}[provider]

    with play(Answer(text="ok")) as peer:
        result = run(peer, make_spec(provider=provider, model=model, temperature=0.7))

    assert (result.status, peer.requests[0].body.get("temperature")) == ("success", sent)


@dataclass(frozen=True)
class Fault:
    """A step of the peer and how the run must end."""

    step: Step
    kind: FailureKind
    says: str
    retryable: bool
    retry_after: float | None = None
    is_unbilled: bool = False


FAULTS = {
    "refused-key": Fault(
        Refusal(status=401),
        FailureKind.PROVIDER_AUTH,
        "refused the API key (401). Check HUB_",
        False,
        is_unbilled=True,
    ),
    "rate": Fault(
        Refusal(status=429, headers={"retry-after": "7"}),
        FailureKind.PROVIDER_RATE_LIMITED,
        "It asks to wait 7 s.",
        True,
        7,
        is_unbilled=True,
    ),
    "server": Fault(
        Refusal(status=500),
        FailureKind.PROVIDER_UNAVAILABLE,
        "out of order at the moment (500)",
        True,
        is_unbilled=True,
    ),
    "overloaded": Fault(
        Refusal(status=503, headers={"retry-after": "3"}),
        FailureKind.PROVIDER_UNAVAILABLE,
        "out of order at the moment (503)",
        True,
        3,
        is_unbilled=True,
    ),
    "unknown-model": Fault(
        Refusal(status=404),
        FailureKind.PROVIDER_REJECTED,
        "does not know the model",
        False,
        is_unbilled=True,
    ),
    "bad-request": Fault(
        Refusal(status=400),
        FailureKind.PROVIDER_REJECTED,
        "refused the request (400)",
        False,
        is_unbilled=True,
    ),
    "gateway": Fault(
        Refusal(status=504),
        FailureKind.PROVIDER_UNAVAILABLE,
        "out of order at the moment (504)",
        True,
    ),
    "silence": Fault(Hang(), FailureKind.PROVIDER_TIMEOUT, "did not answer in time", True),
    "html": Fault(HTML, FailureKind.PROVIDER_BAD_RESPONSE, "could not be read", True),
    "no-json": Fault(NOT_JSON, FailureKind.PROVIDER_BAD_RESPONSE, "could not be read", True),
    "nothing": Fault(Raw(body=b""), FailureKind.PROVIDER_BAD_RESPONSE, "could not be read", True),
    "dropped": Fault(Broken(), FailureKind.PROVIDER_UNAVAILABLE, "broke off", True),
    "cut": Fault(Broken(clean=True), FailureKind.PROVIDER_UNAVAILABLE, "broke off", True),
}


@everywhere
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_failure_is_named_for_people_and_never_shows_the_key(place: Place, fault: Fault) -> None:
    with place.peer(fault.step) as peer:
        seconds = 0.3 if fault.step == Hang() else 60
        result = run(peer, place.spec(), read_timeout_seconds=seconds)

    assert result.error is not None
    assert (result.status, result.error.kind) == ("error", fault.kind)
    assert fault.says in result.error.message
    assert place.label in result.error.message
    assert (result.error.retryable, result.error.retry_after_seconds) == (
        fault.retryable,
        fault.retry_after,
    )
    assert result.error.is_unbilled is fault.is_unbilled
    assert KEY not in repr(result)
    assert len(peer.requests) == 1


@everywhere
def test_nobody_listening_is_unavailable(place: Place) -> None:
    with place.peer() as peer:
        url = peer.url

    result = run(None, place.spec(), url=url)

    assert result.error is not None
    assert result.error.kind is FailureKind.PROVIDER_UNAVAILABLE
    assert f"{place.label} could not be reached" in result.error.message
    assert result.error.is_unbilled


def test_an_account_without_credit_is_not_retried() -> None:
    with openai_peer(Refusal(status=429, kind="insufficient_quota")) as peer:
        result = run(peer, make_spec())

    assert result.error is not None
    assert (result.error.kind, result.error.retryable) == (FailureKind.PROVIDER_QUOTA, False)


def test_an_unknown_provider_and_one_without_key_are_told_apart() -> None:
    unknown = run(None, make_spec(provider="acme")).error
    keyless = run(None, make_spec(provider="anthropic")).error

    assert unknown is not None
    assert keyless is not None
    assert unknown.kind is FailureKind.UNKNOWN_PROVIDER
    assert unknown.message == (
        "There is no provider called 'acme'. Choose one of: openai, anthropic, google, demo."
    )
    assert keyless.kind is FailureKind.PROVIDER_NOT_CONFIGURED
    assert keyless.message == (
        "Anthropic has no API key. Set one in the settings (llm.anthropic_api_key), or"
        " HUB_ANTHROPIC_API_KEY for the whole hub, or choose another provider: demo."
    )


def test_what_is_available_follows_from_the_settings() -> None:
    own_server = {"openai": ProviderSettings(base_url="http://localhost:11434/v1")}
    both = {name: ProviderSettings(api_key="k") for name in ("google", "openai")}

    assert providers.available({}) == ["demo"]
    assert providers.available(own_server) == ["openai", "demo"]
    assert providers.available(both) == ["openai", "google", "demo"]
    assert providers.available({"anthropic": ProviderSettings(base_url="http://x")}) == ["demo"]
    assert providers.default_model("demo") == "demo"


def test_settings_never_show_their_key() -> None:
    assert "s3cret" not in repr(ProviderSettings(api_key="s3cret", base_url="https://u:s3cret@h"))
