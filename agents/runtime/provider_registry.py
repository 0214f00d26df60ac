"""One client per provider and key and one model object per name, for all runs of an event loop.

A client made anew for each run costs 60 ms of CPU, half of it the TLS context.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from typing import Any, Final, Protocol, TypeVar

import httpx2
from pydantic_ai.models import Model

from agents.runtime import provider_failures, providers
from agents.runtime.clients import transport
from agents.runtime.demo import DemoModel
from agents.runtime.failures import RunStopped
from agents.runtime.providers import ProviderSettings

K = TypeVar("K")
V = TypeVar("V")
MAX_MODELS: Final = 256
# Organizations' own keys; their clients are let go of, not closed: they share the connections.
MAX_CLIENTS: Final = 256


class ProviderClient(Protocol):
    """One provider's SDK under one key, with retries off: the task layer retries."""

    def model(self, name: str) -> "Model[Any]":
        """The model called `name`; makes no request."""


class Models(Protocol):
    """What a run asks for its model."""

    def model(self, provider: str, name: str) -> "Model[Any]":
        """The model object; raises RunStopped for an unknown or unconfigured provider."""


class ProviderRegistry:
    """The configured providers. Build one per event loop, and close it on that loop.

    The SDKs of configured providers are imported here and at once: each takes about a second of
    CPU, which would otherwise hold up the loop in the first run.
    """

    def __init__(self, settings: Mapping[str, ProviderSettings] | None = None) -> None:
        self._settings = dict(settings or {})
        self._loop: asyncio.AbstractEventLoop | None = None
        self._models: dict[tuple[str, str, str], Model[Any]] = {}
        self._clients: dict[tuple[str, str], ProviderClient] = {}
        self._connections: dict[str, httpx2.AsyncClient] = {}
        self._modules = {
            name: import_module(f"agents.runtime.clients.{name}")
            for name in self.available()
            if name != providers.DEMO
        }

    def available(self) -> list[str]:
        """Names of the providers that can be called, preferred ones first."""
        return providers.available(self._settings)

    def load(self, provider: str) -> None:
        """Import the provider's SDK unless it is there. Takes a second: not on the loop."""
        if provider in providers.PROVIDERS and provider != providers.DEMO:
            self._modules[provider] = import_module(f"agents.runtime.clients.{provider}")

    def with_keys(self, api_keys: Mapping[str, str]) -> Models:
        """The models as somebody with keys of their own, by provider, reaches them."""
        return _Keyed(self, api_keys) if api_keys else self

    def model(self, provider: str, name: str, *, api_key: str = "") -> "Model[Any]":
        """The shared model object, under `api_key` instead of the configured one if given.

        Raises RunStopped for an unknown or unconfigured provider. Call `load` first for one that
        was not configured when the registry was made.
        """
        settings = self._settings
        if api_key:
            own = replace(settings.get(provider, ProviderSettings()), api_key=api_key)
            settings = {**settings, provider: own}
        if reason := providers.refusal(provider, settings):
            raise RunStopped(provider_failures.no_provider(provider, reason))
        self._bind_loop()
        found = self._models.get((provider, name, api_key))
        if found is None:
            made = self._new_model(provider, name, settings.get(provider))
            found = _keep(self._models, (provider, name, api_key), made, most=MAX_MODELS)
        return found

    async def aclose(self) -> None:
        """Close all connections; runs that still use them fail."""
        connections, self._connections = self._connections, {}
        self._models.clear()
        self._clients.clear()
        for connection in connections.values():
            await connection.aclose()

    def _new_model(
        self, provider: str, name: str, settings: ProviderSettings | None
    ) -> "Model[Any]":
        if settings is None or provider == providers.DEMO:
            return DemoModel()
        key = (provider, settings.api_key)
        found = self._clients.get(key)
        if found is None:
            made = self._modules[provider].connect(settings, self._connection(provider, settings))
            found = _keep(self._clients, key, made, most=MAX_CLIENTS)
        return found.model(name)

    def _connection(self, provider: str, settings: ProviderSettings) -> "httpx2.AsyncClient":
        """One pool a provider: a key travels with each request, not with the connection."""
        if provider not in self._connections:
            self._connections[provider] = transport.new_client(settings)
        return self._connections[provider]

    def _bind_loop(self) -> None:
        # Pooled connections belong to the loop that opened them; used from another they hang.
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        if self._loop is not loop:
            raise RuntimeError("A ProviderRegistry serves one event loop: build another for this.")


class _Keyed:
    """The registry as one organization sees it."""

    def __init__(self, registry: ProviderRegistry, api_keys: Mapping[str, str]) -> None:
        self._registry = registry
        self._api_keys = dict(api_keys)

    def model(self, provider: str, name: str) -> "Model[Any]":
        return self._registry.model(provider, name, api_key=self._api_keys.get(provider, ""))


def _keep(entries: dict[K, V], key: K, entry: V, *, most: int) -> V:
    """Put `entry` in, and the oldest out where there is no room."""
    while len(entries) >= most:
        del entries[next(iter(entries))]
    entries[key] = entry
    return entry
