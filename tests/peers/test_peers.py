"""The peers as journeys start them: another process, driven over HTTP."""

import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from agents.runtime.spec import FailureKind
from tests.agents.runtime.factories import make_spec, make_tool, run


@pytest.fixture(name="url")
def _url() -> Iterator[str]:
    program = [sys.executable, "-m", "tests.peers.openai_server", "--port", "0"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as peer:
        assert peer.stdout is not None
        yield peer.stdout.readline().strip()
        peer.terminate()


def test_a_peer_without_a_script_calls_a_tool_and_answers(url: str) -> None:
    result = run(None, make_spec(tools=("shout",)), make_tool(), url=url)

    assert (result.output, result.tool_calls) == ("The peer answers: 6 * 7", 1)
    assert [entry["path"] for entry in httpx.get(url).json()] == ["/v1/chat/completions"] * 2


def test_a_peer_takes_a_script(url: str) -> None:
    httpx.post(f"{url}/script", json=["429", {"text": "Scripted."}]).raise_for_status()

    limited = run(None, make_spec(), url=url)
    answered = run(None, make_spec(), url=url)

    assert limited.error is not None
    assert limited.error.kind is FailureKind.PROVIDER_RATE_LIMITED
    assert answered.output == "Scripted."
