"""The tools by which an agent remembers; each sees its own agent's memories and no others."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from agents import selectors as agents
from agents.runtime.spec import ToolContext
from agents.runtime.tools import Tool, ToolFailed
from kernel import clock, loop
from kernel.actors import Actor
from memory import selectors
from memory.choices import CONTENT_CHARACTERS, LEAST, MOST, USUAL, MemoryCategory
from memory.errors import MemoryNotFound
from memory.models import Memory
from memory.operations import memories

RECALLED: Final = 50


def memory_tools() -> list[Tool]:
    """To save, to search, to delete."""
    return [
        Tool(
            name="memory_save",
            description=(
                "Remember something for later runs: a fact, preference, procedure or context."
                " Saving the same text again changes its category and importance."
            ),
            parameters=_object(
                {
                    "content": {
                        "type": "string",
                        "minLength": 1,
                        "maxLength": CONTENT_CHARACTERS,
                    },
                    "category": {"type": "string", "enum": MemoryCategory.values},
                    "importance": {"type": "integer", "minimum": LEAST, "maximum": MOST},
                },
                required=["content"],
            ),
            call=_save,
            idempotent=True,
            side_effect="write",
        ),
        Tool(
            name="memory_search",
            description=(
                "What you remembered in earlier runs: what has most words of the query first;"
                " without a query the most important."
            ),
            parameters=_object(
                {
                    "query": {"type": "string", "maxLength": 500},
                    "category": {"type": "string", "enum": MemoryCategory.values},
                    "limit": {"type": "integer", "minimum": 1, "maximum": RECALLED},
                }
            ),
            call=_search,
            idempotent=True,
            side_effect="read",
        ),
        Tool(
            name="memory_delete",
            description="Forget something that is wrong or out of date, by the id of a search.",
            parameters=_object({"id": {"type": "string", "maxLength": 64}}, required=["id"]),
            call=_delete,
            idempotent=True,
            side_effect="write",
        ),
    ]


async def _save(context: ToolContext, arguments: Mapping[str, Any]) -> Any:
    values = {
        "content": arguments["content"],
        "category": arguments.get("category", MemoryCategory.GENERAL.value),
        "importance": arguments.get("importance", USUAL),
        "metadata": {},
    }
    return _shown(await loop.get().in_database(_save_own, context, values))


async def _search(context: ToolContext, arguments: Mapping[str, Any]) -> Any:
    found = await loop.get().in_database(
        selectors.recall,
        organization_id=context.organization_id,
        agent_id=context.agent_id,
        query=arguments.get("query", ""),
        category=arguments.get("category", ""),
        limit=arguments.get("limit", 10),
    )
    return {"memories": [_shown(memory) for memory in found]}


async def _delete(context: ToolContext, arguments: Mapping[str, Any]) -> Any:
    try:
        memory_id = UUID(arguments["id"])
    except ValueError:
        raise ToolFailed("This is no id of a memory. Search first.") from None
    await loop.get().in_database(_forget_own, context, memory_id)
    return {"deleted": str(memory_id)}


def _save_own(context: ToolContext, values: Mapping[str, Any]) -> Memory:
    return memories.save_memory(
        agent_id=context.agent_id, values=values, execution_id=context.run_id, **_who(context)
    )


def _forget_own(context: ToolContext, memory_id: UUID) -> None:
    own = selectors.list_memories(
        organization_id=context.organization_id, agent_id=context.agent_id
    )
    if not own.filter(pk=memory_id).exists():
        raise MemoryNotFound
    memories.delete_memory(memory_id=memory_id, **_who(context))


def _who(context: ToolContext) -> dict[str, Any]:
    agent = agents.get_agent(organization_id=context.organization_id, agent_id=context.agent_id)
    actor = Actor(
        type="agent", id=str(agent.pk), label=agent.name, organization_id=agent.organization_id
    )
    return {"organization_id": agent.organization_id, "actor": actor, "now": clock.now()}


def _shown(memory: Memory) -> dict[str, Any]:
    return {
        "id": str(memory.pk),
        "content": memory.content,
        "category": memory.category,
        "importance": memory.importance,
        "saved_at": memory.updated_at.isoformat(),
    }


def _object(properties: Mapping[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": required or [],
        "additionalProperties": False,
    }
