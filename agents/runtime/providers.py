"""The model providers this hub can speak to, and which of them are configured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

ProviderName: TypeAlias = Literal["openai", "anthropic", "google", "demo"]
DEMO: Final = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """What is fixed about a provider. `key_variable` is named in messages to the operator."""

    name: str
    label: str
    default_model: str
    key_variable: str = ""
    url_variable: str = ""


PROVIDERS: Final[Mapping[str, Provider]] = {
    provider.name: provider
    for provider in (
        Provider(
            name="openai",
            label="OpenAI",
            default_model="gpt-5.6-luna",
            key_variable="HUB_OPENAI_API_KEY",
            url_variable="HUB_OPENAI_BASE_URL",
        ),
        Provider(
            name="anthropic",
            label="Anthropic",
            default_model="claude-sonnet-5-5",
            key_variable="HUB_ANTHROPIC_API_KEY",
            url_variable="HUB_ANTHROPIC_BASE_URL",
        ),
        Provider(
            name="google",
            label="Google",
            default_model="gemini-3.8-flash",
            key_variable="HUB_GOOGLE_API_KEY",
            url_variable="HUB_GOOGLE_BASE_URL",
        ),
        Provider(name=DEMO, label="The demo provider", default_model="demo"),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """How to reach one provider. An empty `base_url` is the provider's own.

    `read_timeout_seconds` bounds the silence between two pieces of an answer, not the answer.
    """

    api_key: str = field(default="", repr=False)
    base_url: str = field(default="", repr=False)
    connect_timeout_seconds: float = 10
    read_timeout_seconds: float = 60


def default_model(provider: str) -> str:
    """The model used when an agent names none; raises KeyError for an unknown provider."""
    return PROVIDERS[provider].default_model


def available(settings: Mapping[str, ProviderSettings]) -> list[str]:
    """Names of the providers that can be called now, in the order they are preferred.

    A provider needs a key; an OpenAI-compatible server of one's own (`base_url`) may do without.
    The demo provider is always there, and last.
    """
    return [name for name in PROVIDERS if is_available(name, settings)]


def is_available(provider: str, settings: Mapping[str, ProviderSettings]) -> bool:
    """Whether `provider` is known and configured."""
    if provider == DEMO:
        return True
    found = settings.get(provider)
    if provider not in PROVIDERS or found is None:
        return False
    return bool(found.api_key or (provider == "openai" and found.base_url))


def refusal(provider: str, settings: Mapping[str, ProviderSettings]) -> str:
    """Why `provider` cannot be used, as a sentence that says what to do; empty if it can."""
    if provider not in PROVIDERS:
        known = ", ".join(PROVIDERS)
        return f"There is no provider called {provider[:50]!r}. Choose one of: {known}."
    if not is_available(provider, settings):
        found = PROVIDERS[provider]
        return (
            f"{found.label} has no API key. Set one in the settings (llm.{provider}_api_key), or"
            f" {found.key_variable} for the whole hub, or choose another provider:"
            f" {', '.join(available(settings))}."
        )
    return ""
