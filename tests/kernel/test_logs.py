"""Logs: structured, and blind to secrets."""

import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from django.conf import settings

from kernel import logs


@pytest.fixture
def as_json() -> Iterator[None]:
    """Logs as a collector reads them."""
    logging.config.dictConfig(logs.configuration(level="INFO", style="json"))
    yield
    logging.config.dictConfig(settings.LOGGING)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


@pytest.mark.parametrize(
    "key", ["password", "HUB_SECRET_KEY", "access_token", "Authorization", "api_key", "set-cookie"]
)
def test_what_sounds_like_a_secret_is_blanked(key: str) -> None:
    event = {"event": "x", key: "hunter2", "input_tokens": 5}

    assert logs.redact(None, "info", event) == {"event": "x", key: "[redacted]", "input_tokens": 5}


def test_a_line_carries_its_context(as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    log = structlog.get_logger("kernel.test")

    with structlog.contextvars.bound_contextvars(request_id="r1"):
        log.info("kernel.test.done", number=1, token="hunter2")

    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "kernel.test.done",
        "level": "info",
        "logger": "kernel.test",
        "request_id": "r1",
        "number": 1,
        "token": "[redacted]",
    }


def test_a_library_logs_in_the_same_form(as_json: None, capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("somebody.else").warning("%s went wrong", "It")
    logging.getLogger("httpx").info("GET https://example.com/?key=hunter2")

    (line,) = lines(capsys)
    assert (line["event"], line["logger"], line["level"]) == (
        "It went wrong",
        "somebody.else",
        "warning",
    )


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_shows_no_local_variables(
    capsys: pytest.CaptureFixture[str], style: str
) -> None:
    logging.config.dictConfig(logs.configuration(level="INFO", style=style))
    hidden = "hunter" + "2"
    try:
        raise LookupError(f"lost {len(hidden)}")
    except LookupError:
        structlog.get_logger("kernel.test").exception("kernel.test.broke")
    logging.config.dictConfig(settings.LOGGING)

    written = capsys.readouterr().err
    assert "LookupError: lost 7" in written
    assert "hunter2" not in written
