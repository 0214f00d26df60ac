"""Writing, changing and forgetting (contract 003 B18)."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction

from agents import selectors as agents
from agents.models import Agent
from audit import operations as audit
from kernel.actors import Actor
from memory import selectors
from memory.choices import KEPT, LEAST, MOST
from memory.errors import MemoryNotFound, MemoryTaken
from memory.models import Memory
from preferences.selectors.values import read as read_settings

_AGAIN: Final = ["category", "importance", "metadata", "execution_id", "updated_at"]


@transaction.atomic
def save_memory(
    *,
    organization_id: UUID,
    agent_id: UUID,
    values: Mapping[str, Any],
    execution_id: UUID | None = None,
    actor: Actor,
    now: datetime,
) -> Memory:
    """Let an agent remember `values` (content, category, importance, metadata).

    The same text again only changes the rest, so that a call may be repeated. Importance outside
    of 1 to 10 is taken as the nearest. Beyond what the organization lets an agent keep, the least
    important and of those the oldest are forgotten, never the one just written. Raises
    AgentNotFound.
    """
    agent = agents.get_agent(organization_id=organization_id, agent_id=agent_id)
    memory = Memory(
        organization_id=organization_id,
        agent_id=agent_id,
        execution_id=execution_id,
        content_hash=_hash(values["content"]),
        created_at=now,
        updated_at=now,
        **{**values, "importance": clamped(values["importance"])},
    )
    Memory.objects.bulk_create(
        [memory],
        update_conflicts=True,
        unique_fields=["agent", "content_hash"],
        update_fields=_AGAIN,
    )
    saved = Memory.objects.get(agent_id=agent_id, content_hash=memory.content_hash)
    _record(saved, "memory.save", actor, now, {"category": saved.category})
    keep = int(read_settings(organization_id=organization_id)[KEPT])
    _prune(agent, keep, actor, now, spared=saved.pk)
    return saved


@transaction.atomic
def update_memory(
    *,
    organization_id: UUID,
    memory_id: UUID,
    values: Mapping[str, Any],
    actor: Actor,
    now: datetime,
) -> Memory:
    """Change what is given. Raises MemoryNotFound, or MemoryTaken for a text that is there."""
    memory = (
        Memory.objects.select_for_update(no_key=True)
        .filter(organization_id=organization_id, pk=memory_id)
        .first()
    )
    if memory is None:
        raise MemoryNotFound
    for name, value in values.items():
        setattr(memory, name, clamped(value) if name == "importance" else value)
    memory.content_hash = _hash(memory.content)
    memory.updated_at = now
    try:
        with transaction.atomic():
            memory.save(update_fields=[*values, "content_hash", "updated_at"])
    except IntegrityError:
        raise MemoryTaken from None
    _record(memory, "memory.update", actor, now, {"fields": sorted(values)})
    return memory


@transaction.atomic
def delete_memory(*, organization_id: UUID, memory_id: UUID, actor: Actor, now: datetime) -> None:
    """Forget it. Raises MemoryNotFound."""
    memory = selectors.get_memory(organization_id=organization_id, memory_id=memory_id)
    if not Memory.objects.filter(pk=memory_id).delete()[0]:
        raise MemoryNotFound
    _record(memory, "memory.delete", actor, now, {"category": memory.category})


@transaction.atomic
def prune_memories(
    *, organization_id: UUID, agent_id: UUID, keep: int, actor: Actor, now: datetime
) -> int:
    """Forget all but the `keep` most important, of those the newest; how many were forgotten.

    Raises AgentNotFound.
    """
    agent = agents.get_agent(organization_id=organization_id, agent_id=agent_id)
    return _prune(agent, keep, actor, now)


def clamped(importance: int) -> int:
    """The nearest of 1 to 10."""
    return max(LEAST, min(MOST, importance))


def _prune(
    agent: Agent, keep: int, actor: Actor, now: datetime, *, spared: UUID | None = None
) -> int:
    rows = selectors.list_memories(organization_id=agent.organization_id, agent_id=agent.pk)
    others = rows if spared is None else rows.exclude(pk=spared)
    beyond = list(others.values_list("pk", flat=True)[keep - (spared is not None) :])
    if not beyond:
        return 0
    forgotten = Memory.objects.filter(pk__in=beyond).delete()[0]
    audit.record(
        actor=actor,
        organization_id=agent.organization_id,
        action="memory.prune",
        resource_type="agent",
        resource_id=agent.pk,
        details={"forgotten": forgotten, "keep": keep},
        now=now,
    )
    return forgotten


def _hash(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _record(
    memory: Memory, action: str, actor: Actor, now: datetime, details: Mapping[str, Any]
) -> None:
    audit.record(
        actor=actor,
        organization_id=memory.organization_id,
        action=action,
        resource_type="memory",
        resource_id=memory.pk,
        details={"agent_id": str(memory.agent_id), **details},
        now=now,
    )
