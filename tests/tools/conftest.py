"""Sources on loopback may be reached, and no connection outlives its test."""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from kernel import loop
from tools.clients import mcp


@pytest.fixture(autouse=True)
def _loopback(settings: Any) -> None:
    settings.HUB_OUTBOUND_ALLOW = (ip_network("127.0.0.0/8"),)


@pytest.fixture(autouse=True)
def _connections() -> Iterator[None]:
    yield
    if mcp._sessions is not None:
        loop.get().submit(mcp.close()).result(20)
