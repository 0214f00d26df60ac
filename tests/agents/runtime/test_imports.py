"""The web process asks about providers and tools; it must not pay for the SDKs."""

import subprocess
import sys

LIGHT = "spec, journal, providers, tools, builtin"


def test_what_the_web_process_needs_imports_no_sdk() -> None:
    program = (
        f"from agents.runtime import {LIGHT}; import sys;"
        "print(sorted({'pydantic_ai', 'openai', 'anthropic', 'google.genai', 'django'}"
        " & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"


def test_the_engine_imports_the_sdks_of_configured_providers_only() -> None:
    program = (
        "from agents.runtime.provider_registry import ProviderRegistry;"
        "from agents.runtime.providers import ProviderSettings; import sys;"
        "from agents.runtime import engine;"
        "ProviderRegistry({'openai': ProviderSettings(api_key='k')});"
        "print(sorted({'openai', 'anthropic', 'google.genai', 'django'} & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "['openai']\n"
