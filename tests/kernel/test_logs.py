"""Logs: structured, and blind to secrets."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from kernel import logs

LOGGER = "kernel.test"


@pytest.fixture
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What the logger writes in the hub's format; `json` unless parametrised."""
    made = logs.configuration(level="INFO", style=getattr(request, "param", "json"))
    arguments = {k: v for k, v in made["formatters"]["hub"].items() if k != "()"}
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(**arguments))
    logger = logging.getLogger(LOGGER)
    logger.addHandler(handler)
    logger.propagate = False
    yield stream
    logger.removeHandler(handler)
    logger.propagate = True


def only(written: io.StringIO) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(written.getvalue())
    assert line.pop("timestamp").endswith("Z")
    return line


@pytest.mark.parametrize(
    "key", ["password", "HUB_SECRET_KEY", "access_token", "Authorization", "api_key", "set-cookie"]
)
def test_what_sounds_like_a_secret_is_blanked(key: str) -> None:
    event = {"event": "x", key: "hunter2", "input_tokens": 5}

    assert logs.redact(None, "info", event) == {"event": "x", key: "[redacted]", "input_tokens": 5}


def test_a_line_carries_its_context(written: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.get_logger(LOGGER).info("kernel.test.done", number=1, token="hunter2")

    assert only(written) == {
        "event": "kernel.test.done",
        "level": "info",
        "logger": LOGGER,
        "request_id": "r1",
        "number": 1,
        "token": "[redacted]",
    }


def test_a_library_logs_in_the_same_form(written: io.StringIO) -> None:
    logging.getLogger(LOGGER).warning("%s went wrong", "It")

    assert only(written) == {"event": "It went wrong", "level": "warning", "logger": LOGGER}


def test_libraries_that_log_whole_urls_are_quiet() -> None:
    made = logs.configuration(level="DEBUG", style="json")

    assert made["loggers"]["httpx"]["level"] == logging.WARNING


@pytest.mark.parametrize("written", ["json", "console"], indirect=True)
def test_a_traceback_shows_no_local_variables(written: io.StringIO) -> None:
    hidden = "hunter" + "2"
    numbers: dict[int, int] = {}
    try:
        numbers[len(hidden)] += 1
    except LookupError:
        structlog.get_logger(LOGGER).exception("kernel.test.broke")

    assert "KeyError: 7" in written.getvalue()
    assert "hunter2" not in written.getvalue()
