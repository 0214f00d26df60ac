"""What agents of this hub can use: tools and providers. Filled by `AppConfig.ready`."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any, Final
from uuid import UUID

from django.conf import settings

from agents import selectors
from agents.choices import AGENT_TOOL
from agents.operations.llm_settings import KEYED, key_setting
from agents.runtime import builtin
from agents.runtime.providers import (
    DEMO,
    ProviderSettings,
    available,
    default_model,
    is_available,
    refusal,
)
from agents.runtime.spec import ToolContext
from agents.runtime.tools import Tool, ToolRegistry
from breakers.operations import hosts
from kernel import clock, loop
from kernel.fingerprints import Hasher, Mark
from kernel.outbound import OutboundPolicy
from knowledge import selectors as knowledge
from preferences.selectors.values import Values
from tools import selectors as tool_rows
from tools.operations.builtins import BUILTINS, BuiltIn

TOOLS: Final = ToolRegistry()
MOST_NAMED: Final = 500
# Answers within the hub: no key, no breaker.
OFFLINE: Final = DEMO


def register_tools(tools: Iterable[Tool]) -> None:
    """The typed hook by which apps contribute tools; raises ValueError for a taken name.

    Each is in the catalogue of every organization, which can set a policy for it.
    """
    for tool in tools:
        TOOLS.add(tool)
        BUILTINS[tool.name] = BuiltIn(
            name=tool.name,
            description=tool.description,
            parameters=tool.parameters,
            side_effect=tool.side_effect,
            is_idempotent=tool.idempotent,
            timeout_seconds=tool.timeout_seconds,
        )


def missing_tools(*, organization_id: UUID, names: Iterable[str]) -> list[str]:
    """Those of `names` that are neither tools of the hub or of the organization's sources nor
    agents of the organization (`agent:<name>`), in order."""
    if missing := TOOLS.missing(names):
        known = tool_rows.find_names(organization_id=organization_id, names=missing)
        known |= selectors.find_called(organization_id=organization_id, names=missing).keys()
        return [name for name in missing if name not in known]
    return []


def list_names(*, organization_id: UUID) -> list[str]:
    """What agents of the organization can name as a tool, by name: at most 500 of its sources'."""
    listed = tool_rows.list_tools(organization_id=organization_id).values_list("tool_name")
    agents = selectors.list_agents(organization_id=organization_id).values_list("name")
    called = (f"{AGENT_TOOL}{name}" for (name,) in agents[:MOST_NAMED])
    return sorted({*TOOLS.names(), *(name for (name,) in listed[:MOST_NAMED]), *called})


def builtin_tools() -> list[Tool]:
    """The tools every hub has."""
    outbound = OutboundPolicy(allowed_networks=settings.HUB_OUTBOUND_ALLOW)
    return [
        *builtin.builtin_tools(outbound, partial(hosts.call_host, clock=clock.now)),
        Tool(
            name="knowledge_search",
            description=(
                "Search the organization's knowledge base. Returns numbered passages with their"
                " source; cite them as [n]."
            ),
            parameters={
                "type": "object",
                "properties": {
                    "query": {"type": "string", "minLength": 1, "maxLength": 500},
                    "limit": {"type": "integer", "minimum": 1, "maximum": 10},
                },
                "required": ["query"],
                "additionalProperties": False,
            },
            call=_search,
            idempotent=True,
            side_effect="read",
        ),
    ]


@cache
def providers() -> dict[str, ProviderSettings]:
    """How each provider is reached, from the environment."""
    return {
        name: ProviderSettings(api_key=found.api_key, base_url=found.base_url)
        for name, found in settings.HUB_PROVIDERS.items()
    }


def list_marks(_organization_id: UUID, hasher: Hasher) -> Iterator[Mark]:
    """By which the hub's own provider keys are recognised in anybody's texts."""
    for found in settings.HUB_PROVIDERS.values():
        yield from hasher.marks_of(found.api_key)


def providers_of(preferences: Values) -> dict[str, ProviderSettings]:
    """The same as an organization reaches them: under its own keys where it has some.

    Addresses are the environment's alone: a key of the hub must not follow one that somebody set.
    """
    found = dict(providers())
    for name in KEYED:
        if not preferences.is_default(key_setting(name)):
            found[name] = replace(
                found.get(name, ProviderSettings()), api_key=preferences[key_setting(name)]
            )
    return found


def usable_providers(names: Iterable[str], preferences: Values) -> list[str]:
    """Those of `names` that an organization can call now."""
    settings = providers_of(preferences)
    return [name for name in names if is_available(name, settings)]


def provider_refusal(provider: str, preferences: Values) -> str:
    """Why an organization cannot call a provider, as a sentence; empty if it can."""
    return refusal(provider, providers_of(preferences))


def preferred_provider(preferences: Values) -> str:
    """For agents that name none: the organization's choice, else the environment's, else Anthropic
    (contract 003 B2), else the first that is configured, else the demo."""
    if chosen := preferences["llm.default_provider"] or settings.HUB_DEFAULT_PROVIDER:
        return str(chosen)
    found = available(providers_of(preferences))
    return "anthropic" if "anthropic" in found else found[0]


def model_for(provider: str, asked: str, preferences: Values) -> str:
    """`asked`, else the organization's model if this is its provider, else the environment's model
    for the provider, else the provider's own default."""
    if asked:
        return asked
    if (own := preferences["llm.default_model"]) and provider == preferred_provider(preferences):
        return str(own)
    configured = settings.HUB_PROVIDERS.get(provider)
    return (configured.model if configured else "") or default_model(provider)


async def _search(context: ToolContext, arguments: Mapping[str, Any]) -> Any:
    passages = await loop.get().in_database(
        knowledge.search,
        organization_id=context.organization_id,
        query=arguments["query"],
        limit=arguments.get("limit", 5),
    )
    return {
        "passages": [
            {"number": number, **passage.as_result()}
            for number, passage in enumerate(passages, start=1)
        ]
    }
