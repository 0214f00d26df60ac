"""Memories for tests."""

from datetime import datetime
from typing import Any

from agents.models import Agent
from kernel import clock
from memory.models import Memory
from memory.operations import memories
from tests.agents.factories import PERSON


def make_memory(agent: Agent, *, now: datetime | None = None, **values: Any) -> Memory:
    """Something that `agent` remembers."""
    return memories.save_memory(
        organization_id=agent.organization_id,
        agent_id=agent.pk,
        values={
            "content": "Releases are on Tuesdays.",
            "category": "general",
            "importance": 5,
            "metadata": {},
            **values,
        },
        actor=PERSON,
        now=now or clock.now(),
    )
