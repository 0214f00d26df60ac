"""The settings `llm.*`: an organization's own provider, model and keys."""

from typing import Final

from agents.runtime.providers import PROVIDERS
from preferences.choices import Setting


def _ascii(value: str) -> str:
    """It travels in a header."""
    return "" if value.isascii() else "Send the key as it is: it has only ASCII characters."


KEYED: Final = tuple(name for name, provider in PROVIDERS.items() if provider.key_variable)
# An empty text stands for what the hub's environment says (`hub/env.py`).
SETTINGS: Final = (
    Setting(
        key="llm.default_provider",
        kind="string",
        default="",
        choices=("", *PROVIDERS),
        description="The provider of agents that name none.",
    ),
    Setting(
        key="llm.default_model",
        kind="string",
        default="",
        description="The model of agents on the default provider that name none.",
    ),
    *(
        Setting(
            key=f"llm.{name}_api_key",
            kind="string",
            default="",
            secret=True,
            check=_ascii,
            description=f"The organization's own key for {PROVIDERS[name].label}.",
        )
        for name in KEYED
    ),
)


def key_setting(provider: str) -> str:
    """The setting that holds an organization's own key."""
    return f"llm.{provider}_api_key"
