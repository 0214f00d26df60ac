"""OpenAI and everything that speaks its chat-completions API: Ollama, vLLM, LiteLLM."""

import httpx2
from openai import AsyncOpenAI
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.profiles.openai import OpenAIModelProfile
from pydantic_ai.providers import Provider
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

from agents.runtime.clients import transport
from agents.runtime.providers import ProviderSettings

_OPENAI_URL = "https://api.openai.com/v1"
# Without it a stream that breaks off between two events would pass for a whole answer.
_PROFILE = OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True)


class OpenAIClient:
    """Chat completions at OpenAI, or at a compatible server without OpenAI's own extras."""

    def __init__(self, settings: ProviderSettings, http: httpx2.AsyncClient) -> None:
        url = settings.base_url or _OPENAI_URL
        self._client = AsyncOpenAI(
            api_key=settings.api_key
            or "none",  # Servers of one's own ask for no key, the SDK does.
            base_url=url,
            max_retries=0,
            timeout=transport.timeouts(settings),
            http_client=http,
        )
        self._provider: Provider[AsyncOpenAI] = (
            OpenAIProvider(openai_client=self._client)
            if url.rstrip("/") == _OPENAI_URL
            else OpenAICompatibleProvider("openai-compatible", openai_client=self._client)
        )

    def model(self, name: str) -> OpenAIChatModel:
        return OpenAIChatModel(name, provider=self._provider, profile=_PROFILE)


connect = OpenAIClient
