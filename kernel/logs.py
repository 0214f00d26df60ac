"""Structured logs: one line an event, ids bound by middleware and jobs, secrets never."""

import logging
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

from kernel import redaction

NOISY: Final = ("httpx", "httpx2", "httpcore", "openai", "anthropic", "google_genai", "kombu")
SECRET_WORDS: Final = ("password", "secret", "token", "authorization", "api_key", "cookie")


def redact(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank every value whose key sounds like a secret; a last net, not a licence to log them."""
    for key in event:
        if any(word in key.lower() for word in SECRET_WORDS) and isinstance(event[key], str):
            event[key] = redaction.REDACTED
    return event


def mask(_logger: Any, _name: str, line: str) -> str:
    """Blank the secrets that this process has opened, in tracebacks too."""
    return redaction.mask_opened(line)


def configuration(*, level: str, style: str) -> dict[str, Any]:
    """A `LOGGING` dictionary; `style` is `console` for people or `json` for collectors."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    renderer: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if style == "json"
        # Plain tracebacks: the pretty ones print local variables, and with them secrets.
        else [
            structlog.dev.ConsoleRenderer(
                colors=False, exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "hub": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *renderer,
                    mask,
                ],
                "foreign_pre_chain": shared,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "hub"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Their INFO lines carry whole URLs, and with them query strings.
            **{name: {"level": max(logging.WARNING, getattr(logging, level))} for name in NOISY},
            # Every request has its line in `kernel.http.middleware`; here only what broke.
            "django.request": {"level": "ERROR"},
            # `kernel.jobs` logs failures with the job's own context; once is enough.
            "celery.app.trace": {"level": "CRITICAL"},
        },
    }
