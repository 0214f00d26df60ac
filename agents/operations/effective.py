"""What an agent really runs with: its version, and the override that goes by its name.

The one function for every door: queue, REST, SSE, chat, agent as tool (contract 004 C4). A fault of
the look-up reaches the caller: an agent that may be disabled does not run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from agents import selectors
from agents.choices import ResponseFormat
from agents.clients import stamps
from agents.errors import AgentDisabled
from agents.models import AgentOverride, AgentVersion
from kernel.stamps import Memory

# An override's names of what it limits, and those of a configuration.
LIMITS: Final = {
    "maxToolCalls": "max_tool_calls",
    "timeout": "timeout_seconds",
    "maxTokenBudget": "max_total_tokens",
}
_memory: Final = Memory[AgentOverride | None](stamps.STAMPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What a run goes by. An empty `model` is the default of its provider; None is no limit.

    `tools` are names of the catalogue, which need not have them any more. `fallback_models` are
    `(provider, model)`, to be tried in this order.
    """

    provider: str
    model: str
    system_prompt: str
    temperature: float
    max_tokens: int
    tools: tuple[str, ...]
    response_format: str
    max_tool_calls: int
    timeout_seconds: float
    max_total_tokens: int | None
    fallback_models: tuple[tuple[str, str], ...]
    override_id: UUID | None = None
    # Limits that the override set, by their names here.
    overridden: frozenset[str] = frozenset()


def configuration_of(*, version: AgentVersion, agent_name: str) -> Configuration:
    """The configuration of a run of `version` that begins or goes on now.

    Raises AgentDisabled. Costs one question to Redis, and a query when an override of the
    organization was written since, or after ten seconds.
    """
    override = _find(version.organization_id, agent_name)
    if override is None:
        return _designed(version)
    if not override.enabled:
        raise AgentDisabled(
            f"Agent {agent_name} is disabled by an override. Have an administrator enable it.",
            override_id=override.pk,
        )
    return _overridden(version, override)


def tools_of(*, version: AgentVersion, agent_name: str) -> tuple[str, ...]:
    """The names of the tools alone, also of an agent that is disabled."""
    override = _find(version.organization_id, agent_name)
    return version.usable_tools if override is None else _tools(version, override)


def forget(*, organization_id: UUID) -> None:
    """Have every process read the organization's overrides anew once this transaction commits."""
    transaction.on_commit(partial(stamps.renew, organization_id=organization_id))


def _designed(version: AgentVersion) -> Configuration:
    return Configuration(
        provider=version.llm_provider,
        model=version.llm_model,
        system_prompt=version.system_prompt,
        temperature=version.temperature,
        max_tokens=version.max_tokens,
        tools=version.usable_tools,
        response_format=ResponseFormat.TEXT,
        max_tool_calls=version.max_tool_calls,
        timeout_seconds=float(version.timeout_seconds),
        max_total_tokens=version.max_tokens_per_task or None,
        fallback_models=tuple(_model(each) for each in version.fallback_models),
    )


def _overridden(version: AgentVersion, override: AgentOverride) -> Configuration:
    design = _designed(version)
    limits: Mapping[str, Any] = override.guardrails or {}
    timeout = limits.get("timeout")
    provider = _either(override.provider, design.provider)
    # The design's model belongs to the design's provider.
    model = design.model if provider == design.provider else ""
    return Configuration(
        provider=provider,
        model=_either(override.model, model),
        system_prompt=_either(override.system_prompt, design.system_prompt),
        temperature=_either(override.temperature, design.temperature),
        max_tokens=_either(override.max_tokens, design.max_tokens),
        tools=_tools(version, override),
        response_format=_either(override.response_format, design.response_format),
        max_tool_calls=_either(limits.get("maxToolCalls"), design.max_tool_calls),
        timeout_seconds=design.timeout_seconds if timeout is None else timeout / 1000,
        max_total_tokens=_either(limits.get("maxTokenBudget"), design.max_total_tokens),
        fallback_models=design.fallback_models,
        override_id=override.pk,
        overridden=frozenset(ours for name, ours in LIMITS.items() if limits.get(name) is not None),
    )


def _tools(version: AgentVersion, override: AgentOverride) -> tuple[str, ...]:
    """Those selected instead of the version's; what the version bans stays banned."""
    if override.selected_tools is None:
        return version.usable_tools
    return tuple(name for name in override.selected_tools if name not in version.tool_blacklist)


def _either(override: Any, design: Any) -> Any:
    return design if override is None else override


def _model(text: str) -> tuple[str, str]:
    provider, _, model = text.partition(":")
    return provider, model


def _find(organization_id: UUID, agent_name: str) -> AgentOverride | None:
    return _memory.recall(
        organization_id,
        agent_name,
        partial(selectors.find_override, organization_id=organization_id, agent_name=agent_name),
    )
