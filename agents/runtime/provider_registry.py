"""One client per provider and one model object per name, shared by all runs of an event loop.

A client made anew for each run costs 60 ms of CPU, half of it the TLS context.
"""

import asyncio
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, Protocol

from pydantic_ai.models import Model

from agents.runtime import failures, providers
from agents.runtime.demo import DemoModel
from agents.runtime.failures import RunStopped
from agents.runtime.providers import ProviderSettings

MAX_MODELS: Final = 256


class ProviderClient(Protocol):
    """One provider's SDK, with retries off: the task layer retries."""

    def model(self, name: str) -> "Model[Any]":
        """The model called `name`; makes no request."""

    async def aclose(self) -> None:
        """Close idle connections."""


class ProviderRegistry:
    """The configured providers. Build one per event loop, and close it on that loop.

    The SDKs of configured providers are imported here and at once: each takes about a second of
    CPU, which would otherwise hold up the loop in the first run.
    """

    def __init__(self, settings: Mapping[str, ProviderSettings] | None = None) -> None:
        self._settings = dict(settings or {})
        self._loop: asyncio.AbstractEventLoop | None = None
        self._models: dict[tuple[str, str], Model[Any]] = {}
        self._clients: dict[str, ProviderClient] = {}
        self._modules = {
            name: import_module(f"agents.runtime.clients.{name}")
            for name in self.available()
            if name != providers.DEMO
        }

    def available(self) -> list[str]:
        """Names of the providers that can be called, preferred ones first."""
        return providers.available(self._settings)

    def model(self, provider: str, name: str) -> "Model[Any]":
        """The shared model object; raises RunStopped for an unknown or unconfigured provider."""
        if reason := providers.refusal(provider, self._settings):
            raise RunStopped(failures.no_provider(provider, reason))
        self._bind_loop()
        found = self._models.get((provider, name))
        if found is None:
            if len(self._models) >= MAX_MODELS:
                self._models.clear()
            found = self._models[provider, name] = self._new_model(provider, name)
        return found

    async def aclose(self) -> None:
        """Close all clients; runs that still use them fail."""
        clients, self._clients = self._clients, {}
        self._models.clear()
        for client in clients.values():
            await client.aclose()

    def _new_model(self, provider: str, name: str) -> "Model[Any]":
        if provider == providers.DEMO:
            return DemoModel()
        if provider not in self._clients:
            client: ProviderClient = self._modules[provider].connect(self._settings[provider])
            self._clients[provider] = client
        return self._clients[provider].model(name)

    def _bind_loop(self) -> None:
        # Pooled connections belong to the loop that opened them; used from another they hang.
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            raise RuntimeError("A ProviderRegistry serves one event loop: build another for this.")
