"""Anthropic's messages API."""

import httpx2
from anthropic import AsyncAnthropic
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider

from agents.runtime.clients import transport
from agents.runtime.providers import ProviderSettings


class AnthropicClient:
    """Messages at Anthropic, or at a proxy that speaks the same API."""

    def __init__(self, settings: ProviderSettings, http: httpx2.AsyncClient) -> None:
        self._client = AsyncAnthropic(
            api_key=settings.api_key,
            base_url=settings.base_url or "https://api.anthropic.com",
            max_retries=0,
            timeout=transport.timeouts(settings),
            http_client=http,
        )
        self._provider = AnthropicProvider(anthropic_client=self._client)

    def model(self, name: str) -> AnthropicModel:
        return AnthropicModel(name, provider=self._provider)


connect = AnthropicClient
