"""Reading the web through the guard."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from agents.runtime.builtin.http_get import http_get
from agents.runtime.tools import ToolFailed, ToolRegistry
from kernel.outbound import OutboundPolicy, OutboundRefused
from tests.agents.runtime.factories import CONTEXT
from tests.peers.web_server import Site, web_site


@pytest.fixture(name="site", scope="module")
def _site() -> Iterator[Site]:
    with web_site() as site:
        yield site


def read(url: str, *, allow: str = "127.0.0.0/8") -> Any:
    tools = ToolRegistry([http_get(OutboundPolicy.parse(allow))])
    return asyncio.run(tools.invoke("http_get", CONTEXT, {"url": url})).value


def test_a_page_becomes_text(site: Site) -> None:
    assert read(site.url("/html")) == {
        "status": 200,
        "url": site.url("/html"),
        "content_type": "text/html; charset=utf-8",
        "text": "Leases A lease & its token.",
        "truncated": False,
    }


def test_json_is_left_as_it_is(site: Site) -> None:
    assert read(site.url("/json"))["text"] == '{"a": 1}'


def test_redirects_are_followed(site: Site) -> None:
    assert read(site.url("/to//text"))["url"] == site.url("/text")


def test_long_pages_are_cut(site: Site) -> None:
    page = read(site.url("/large"))

    assert (len(page["text"]), page["truncated"]) == (40_000, True)


def test_what_is_no_text_is_refused(site: Site) -> None:
    with pytest.raises(ToolFailed, match="holds image/png, which is not text"):
        read(site.url("/image"))


def test_private_addresses_are_refused(site: Site) -> None:
    with pytest.raises(OutboundRefused):
        read(site.url("/html"), allow="")


def test_a_script_without_an_end_leaves_no_text(site: Site) -> None:
    assert read(site.url("/unclosed"))["text"] == ""
