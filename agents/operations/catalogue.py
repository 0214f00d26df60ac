"""What agents of this hub can use: tools and providers. Filled by `AppConfig.ready`."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from django.conf import settings

from agents.runtime import builtin
from agents.runtime.providers import ProviderSettings, available, default_model, refusal
from agents.runtime.spec import ToolContext
from agents.runtime.tools import Tool, ToolRegistry
from kernel import loop
from kernel.outbound import OutboundPolicy
from knowledge import selectors as knowledge

TOOLS: Final = ToolRegistry()


def register_tools(tools: Iterable[Tool]) -> None:
    """The typed hook by which apps contribute tools; raises ValueError for a taken name."""
    for tool in tools:
        TOOLS.add(tool)


def builtin_tools() -> list[Tool]:
    """The tools every hub has."""
    return [
        *builtin.builtin_tools(OutboundPolicy(allowed_networks=settings.HUB_OUTBOUND_ALLOW)),
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


def preferred_provider() -> str:
    """For agents that name none: the environment's choice, else Anthropic (contract 003 B2), else
    the first that is configured, else the demo."""
    if settings.HUB_DEFAULT_PROVIDER:
        return str(settings.HUB_DEFAULT_PROVIDER)
    found = available(providers())
    return "anthropic" if "anthropic" in found else found[0]


def provider_refusal(provider: str) -> str:
    """Why `provider` cannot be used on this hub, as a sentence; empty if it can."""
    return refusal(provider, providers())


def model_for(provider: str, asked: str) -> str:
    """`asked`, else the environment's model for the provider, else the provider's default."""
    configured = settings.HUB_PROVIDERS.get(provider)
    return asked or (configured.model if configured else "") or default_model(provider)


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
