"""Google's Gemini API."""

import httpx2
from google.genai.types import HttpRetryOptions
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.providers.google import GoogleProvider

from agents.runtime.providers import ProviderSettings


class GoogleClient:
    """generateContent at Google, or at a proxy that speaks the same API."""

    def __init__(self, settings: ProviderSettings, http: httpx2.AsyncClient) -> None:
        self._provider = GoogleProvider(
            api_key=settings.api_key,
            base_url=settings.base_url or None,
            http_client=http,
            retry_options=HttpRetryOptions(attempts=1),
        )

    def model(self, name: str) -> GoogleModel:
        return GoogleModel(name, provider=self._provider)


connect = GoogleClient
