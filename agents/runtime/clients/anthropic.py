"""Anthropic's messages API."""

from anthropic import AsyncAnthropic
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider

from agents.runtime.clients import transport
from agents.runtime.providers import ProviderSettings


class AnthropicClient:
    """Messages at Anthropic, or at a proxy that speaks the same API."""

    def __init__(self, settings: ProviderSettings) -> None:
        self._client = AsyncAnthropic(
            api_key=settings.api_key,
            base_url=settings.base_url or "https://api.anthropic.com",
            max_retries=0,
            timeout=transport.timeouts(settings),
            http_client=transport.new_client(settings),
        )
        self._provider = AnthropicProvider(anthropic_client=self._client)

    def model(self, name: str) -> AnthropicModel:
        return AnthropicModel(name, provider=self._provider)

    async def aclose(self) -> None:
        await self._client.close()


connect = AnthropicClient
