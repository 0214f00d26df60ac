"""A model that follows a script, and tools that note their calls; a test's own replace them."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.agents.factories import noting, registered
from tests.peers.model_server import ModelPeer
from tests.peers.script import Respond, Step
from tests.tasks.scripted import answering


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch, script: list[Respond]) -> Iterator[ModelPeer]:
    """It does what `script` says last, so that a test may change it between two turns."""

    def as_told(body: Mapping[str, Any]) -> Step:
        return script[-1](body)

    with answering(monkeypatch, as_told) as model:
        yield model


@pytest.fixture
def calls() -> Iterator[list[str]]:
    """Names of the tools in the order in which they were really called."""
    made: list[str] = []
    with registered(noting(made, "send_note", "write"), noting(made, "look", "read")):
        yield made
