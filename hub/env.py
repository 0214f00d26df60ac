"""The only reader of the environment: typed, frozen, failing at start on what it does not know."""

import ipaddress
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email

Environment = Literal["development", "test", "production"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
ROOT: Final = Path(__file__).resolve().parent.parent
PROVIDERS: Final = ("openai", "anthropic", "google")
MINIMUM_SECRET_LENGTH: Final = 32
MINIMUM_PASSWORD_LENGTH: Final = 12
MINIMUM_KEY_LENGTH: Final = 16
# Requests a minute of one address (contract 003 B0).
RATE_LIMITS: Final = {"ip": 120, "login": 20, "register": 10}
CONNECTION_FILE: Final = "connection.json"
SHARED: Final = ("DATABASE_URL", "HUB_DATABASE_OWNER_URL", "REDIS_URL", "HUB_SECRET_KEY")


@dataclass(frozen=True, slots=True)
class Provider:
    """How to reach one model provider; empty strings mean "not configured"."""

    api_key: str = field(default="", repr=False)
    base_url: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Env:
    """Every setting that comes from outside, with its default (see `docs/configuration.md`)."""

    environment: str
    secret_key: str = field(repr=False)
    database_url: str = field(repr=False)
    database_owner_url: str = field(repr=False)
    redis_url: str = field(repr=False)
    data_dir: Path
    port: int
    bind: str
    public_url: str
    allowed_hosts: tuple[str, ...]
    admin_email: str
    admin_password: str = field(repr=False)
    agent_key: str = field(repr=False)
    organization: str
    outbound_allow: tuple[Network, ...]
    trusted_proxies: tuple[Network, ...]
    rate_limits: dict[str, int]
    metrics_allow: tuple[Network, ...]
    metrics_token: str = field(repr=False)
    smtp_url: str = field(repr=False)
    default_provider: str
    openai: Provider
    anthropic: Provider
    google: Provider
    worker_runs: int
    lease_seconds: int
    drain_seconds: int
    log_level: str
    log_format: str
    query_tokens: bool
    mcp_commands: dict[str, tuple[str, ...]]


KNOWN: Final = frozenset(
    {
        "HUB_ENV",
        "HUB_SECRET_KEY",
        "HUB_DATABASE_OWNER_URL",
        "HUB_DATA_DIR",
        "HUB_PORT",
        "HUB_BIND",
        "HUB_PUBLIC_URL",
        "HUB_ALLOWED_HOSTS",
        "HUB_ADMIN_EMAIL",
        "HUB_ADMIN_PASSWORD",
        "HUB_AGENT_KEY",
        "HUB_ORGANIZATION",
        "HUB_OUTBOUND_ALLOW",
        "HUB_TRUSTED_PROXIES",
        "HUB_RATE_LIMITS",
        "HUB_RATE_LIMIT_IP",
        "HUB_RATE_LIMIT_LOGIN",
        "HUB_RATE_LIMIT_REGISTER",
        "HUB_METRICS_ALLOW",
        "HUB_METRICS_TOKEN",
        "HUB_SMTP_URL",
        "HUB_PROVIDER",
        "HUB_OPENAI_API_KEY",
        "HUB_OPENAI_BASE_URL",
        "HUB_OPENAI_MODEL",
        "HUB_ANTHROPIC_API_KEY",
        "HUB_ANTHROPIC_BASE_URL",
        "HUB_ANTHROPIC_MODEL",
        "HUB_GOOGLE_API_KEY",
        "HUB_GOOGLE_BASE_URL",
        "HUB_GOOGLE_MODEL",
        "HUB_WORKER_RUNS",
        "HUB_LEASE_SECONDS",
        "HUB_DRAIN_SECONDS",
        "HUB_LOG_LEVEL",
        "HUB_LOG_FORMAT",
        "HUB_QUERY_TOKENS",
        "HUB_MCP_COMMANDS",
    }
)


def read(source: Mapping[str, str]) -> Env:
    """Read and check `source`.

    Raises ImproperlyConfigured with one sentence that names the variable and the mend.
    """
    given = {name: value for name, value in source.items() if value.strip()}
    source = {**_running_hub(given), **given}
    unknown = sorted(k for k in source if k.startswith("HUB_") and k not in KNOWN)
    if unknown:
        raise ImproperlyConfigured(
            f"{unknown[0]} is not a setting of Agent Hub; see docs/configuration.md for the list."
        )
    environment = _choice(source, "HUB_ENV", "development", get_args(Environment))
    port = _whole(source, "HUB_PORT", 8000, 0, 65535)
    providers = {name: _provider(source, name.upper()) for name in PROVIDERS}
    return Env(
        environment=environment,
        secret_key=_secret_key(source, environment),
        database_url=_url(source, "DATABASE_URL", ("postgres://", "postgresql://")),
        database_owner_url=_url(source, "HUB_DATABASE_OWNER_URL", ("postgres://", "postgresql://")),
        redis_url=_url(source, "REDIS_URL", ("redis://", "rediss://", "unix://")),
        data_dir=_data_dir(source),
        port=port,
        bind=source.get("HUB_BIND") or "127.0.0.1",
        public_url=(source.get("HUB_PUBLIC_URL") or f"http://127.0.0.1:{port}").rstrip("/"),
        allowed_hosts=_words(source.get("HUB_ALLOWED_HOSTS", "")),
        admin_email=_email(source, "HUB_ADMIN_EMAIL"),
        admin_password=_at_least(source, "HUB_ADMIN_PASSWORD", MINIMUM_PASSWORD_LENGTH),
        agent_key=_at_least(source, "HUB_AGENT_KEY", MINIMUM_KEY_LENGTH),
        organization=source.get("HUB_ORGANIZATION") or "Default",
        outbound_allow=_networks(source, "HUB_OUTBOUND_ALLOW"),
        trusted_proxies=_networks(source, "HUB_TRUSTED_PROXIES"),
        rate_limits=_rate_limits(source, environment),
        metrics_allow=_networks(source, "HUB_METRICS_ALLOW"),
        metrics_token=_at_least(source, "HUB_METRICS_TOKEN", MINIMUM_KEY_LENGTH),
        smtp_url=_url(source, "HUB_SMTP_URL", ("smtp://", "smtps://")),
        default_provider=_default_provider(source, providers),
        **providers,
        worker_runs=_whole(source, "HUB_WORKER_RUNS", 200, 1, 5000),
        lease_seconds=_whole(source, "HUB_LEASE_SECONDS", 30, 5, 3600),
        drain_seconds=_whole(source, "HUB_DRAIN_SECONDS", 20, 1, 3600),
        log_level=_choice(source, "HUB_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
        log_format=_choice(source, "HUB_LOG_FORMAT", "console", ("console", "json")),
        query_tokens=_choice(source, "HUB_QUERY_TOKENS", "off", ("on", "off")) == "on",
        mcp_commands=_commands(source, "HUB_MCP_COMMANDS"),
    )


def _running_hub(source: Mapping[str, str]) -> dict[str, str]:
    """What `up` wrote for commands typed beside it: addresses and key of its embedded servers.

    Only used where no database is named, so that it can never redirect a configured hub; all of it
    or, if the file is damaged, nothing.
    """
    if source.get("DATABASE_URL") or source.get("HUB_ENV") == "test":
        return {}
    if sys.argv[1:2] == ["up"]:  # It starts its own: what a killed one left must not stop it.
        return {}
    file = _data_dir(source) / CONNECTION_FILE
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict) or not all(isinstance(found.get(n), str) for n in SHARED):
        return {}
    known = {name: found[name] for name in SHARED}
    return known if len(known["HUB_SECRET_KEY"]) >= MINIMUM_SECRET_LENGTH else {}


def _data_dir(source: Mapping[str, str]) -> Path:
    """Beside the code unless named, so that a command finds the hub from any folder."""
    return Path(source.get("HUB_DATA_DIR") or ROOT / ".hub").absolute()


def _email(source: Mapping[str, str], name: str) -> str:
    value = source.get(name, "").strip()
    try:
        if value:
            validate_email(value)
    except ValidationError:
        raise ImproperlyConfigured(f"{name} must be an e-mail address.") from None
    return value


def _at_least(source: Mapping[str, str], name: str, length: int) -> str:
    value = source.get(name, "")
    if value and len(value) < length:
        raise ImproperlyConfigured(f"{name} is too short. Use at least {length} characters.")
    return value


def _default_provider(source: Mapping[str, str], providers: Mapping[str, Provider]) -> str:
    chosen = _choice(source, "HUB_PROVIDER", "", ("", *PROVIDERS, "demo"))
    found = providers.get(chosen)
    if found and not (found.api_key or (chosen == "openai" and found.base_url)):
        raise ImproperlyConfigured(
            f"HUB_PROVIDER is {chosen}, which has no key. Set HUB_{chosen.upper()}_API_KEY."
        )
    return chosen


def _secret_key(source: Mapping[str, str], environment: str) -> str:
    value = source.get("HUB_SECRET_KEY", "")
    if not value and environment == "production":
        raise ImproperlyConfigured(
            "HUB_SECRET_KEY is not set. Set it to at least 32 random characters."
        )
    if value and len(value) < MINIMUM_SECRET_LENGTH:
        raise ImproperlyConfigured(
            "HUB_SECRET_KEY is too short. Set it to at least 32 random characters."
        )
    return value or "development-only-key-that-protects-nothing-at-all"


def _provider(source: Mapping[str, str], name: str) -> Provider:
    return Provider(
        api_key=source.get(f"HUB_{name}_API_KEY") or source.get(f"{name}_API_KEY") or "",
        base_url=_url(source, f"HUB_{name}_BASE_URL", ("http://", "https://")),
        model=source.get(f"HUB_{name}_MODEL") or "",
    )


def _url(source: Mapping[str, str], name: str, schemes: tuple[str, ...]) -> str:
    value = source.get(name, "").strip()
    if value and not value.startswith(schemes):
        # The value may hold a password, so it is not repeated.
        raise ImproperlyConfigured(f"{name} must start with {' or '.join(schemes)}.")
    return value


def _whole(source: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    value = source.get(name, "").strip()
    if not value:
        return default
    if not value.isdecimal() or not low <= int(value) <= high:
        raise ImproperlyConfigured(f"{name} must be a whole number from {low} to {high}.")
    return int(value)


def _choice(source: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = source.get(name, "").strip() or default
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} must be one of: {', '.join(filter(None, allowed))}.")
    return value


def _networks(source: Mapping[str, str], name: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(word) for word in _words(source.get(name, "")))
    except ValueError as error:
        raise ImproperlyConfigured(
            f"{name} must list networks such as 10.0.0.0/8: {error}."
        ) from None


def _commands(source: Mapping[str, str], name: str) -> dict[str, tuple[str, ...]]:
    """Command lines by name, from JSON: `{"files": ["mcp-files", "/srv"]}`."""
    try:
        found = json.loads(source.get(name) or "{}")
        lines = {str(key): tuple(map(_word, line)) for key, line in found.items()}
    except (ValueError, TypeError, AttributeError):
        lines = {"": ()}
    if not all(key and line for key, line in lines.items()):
        raise ImproperlyConfigured(
            f"{name} must be a JSON object of names with command lines, such as"
            ' {"files": ["mcp-files", "/srv"]}.'
        )
    return lines


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _rate_limits(source: Mapping[str, str], environment: str) -> dict[str, int]:
    """Requests a minute by name of the limit; none at all where they are switched off."""
    default = "off" if environment == "test" else "on"
    switch = _choice(source, "HUB_RATE_LIMITS", default, ("on", "off"))
    if switch == "off" and environment == "production":
        raise ImproperlyConfigured(
            "HUB_RATE_LIMITS is off, which HUB_ENV=production does not allow. Remove it."
        )
    limits = {
        name: _whole(source, f"HUB_RATE_LIMIT_{name.upper()}", limit, 1, 1_000_000)
        for name, limit in RATE_LIMITS.items()
    }
    return limits if switch == "on" else {}


def _words(value: str) -> tuple[str, ...]:
    return tuple(word for word in value.replace(",", " ").split() if word)


env: Final = read(os.environ)
