"""Vocabularies and limits of circuit breakers."""

import re
from contextlib import suppress
from ipaddress import ip_address
from socket import inet_aton, inet_ntoa
from typing import Final

from django.db.models import TextChoices


class BreakerState(TextChoices):
    """Whether calls go out (contract 003 B15)."""

    CLOSED = "closed", "Closed"
    OPEN = "open", "Open"
    HALF_OPEN = "half_open", "Half open"


class Forced(TextChoices):
    """What a person set; it stays until a person takes it back."""

    NOT = "", "Not forced"
    OPEN = "open", "Open"
    CLOSED = "closed", "Closed"


class Outcome(TextChoices):
    """How a call ended, as far as it tells something about who was called."""

    SUCCESS = "success", "Success"
    FAILURE = "failure", "Failure"
    UNKNOWN = "unknown", "Unknown"


# `provider:openai`, `host:api.example.com`: a kind, and who is called.
NAME: Final = r"[a-z0-9][a-z0-9._:-]{0,127}"

PROVIDER: Final = "provider:"
HOST: Final = "host:"
MISNAMED: Final = "Name the host alone: host:api.example.com, without scheme, port or final dot."


def breaker_of(provider: str) -> str:
    """The breaker's name before the model calls of a provider."""
    return f"{PROVIDER}{provider}"


def provider_of(name: str) -> str:
    """The provider behind a breaker of that name; empty if it stands before something else."""
    return name.removeprefix(PROVIDER) if name.startswith(PROVIDER) else ""


def breaker_of_host(host: str) -> str:
    """The breaker's name before calls of a host, at whatever port; empty if no name fits it."""
    plain = host.lower().rstrip(".")
    with suppress(ValueError):
        address = ip_address(plain.strip("[]"))
        plain = str(getattr(address, "ipv4_mapped", None) or address)
    with suppress(OSError):
        plain = inet_ntoa(inet_aton(plain))  # 127.1, 0x7f.1 and 2130706433 are one
    is_named = ":" not in plain or plain.count(":") > 1  # one is that of a port
    name = f"{HOST}{plain}"
    return name if plain and is_named and re.fullmatch(NAME, name) else ""


def is_name(name: str) -> bool:
    """Whether a breaker can have it; hosts are named as calls name them."""
    if name.startswith(HOST):
        return breaker_of_host(name.removeprefix(HOST)) == name
    return re.fullmatch(NAME, name) is not None


FAILURE_THRESHOLD: Final = 5
WINDOW_SECONDS: Final = 120
RECOVERY_TIMEOUT_SECONDS: Final = 60
SUCCESS_THRESHOLD: Final = 3
TRIAL_TIMEOUT_SECONDS: Final = 300
MOST_CALLS: Final = 1_000
MOST_SECONDS: Final = 86_400
