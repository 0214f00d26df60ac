"""What agents fetch: a breaker before each host, made by its first failure."""

import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from importlib import import_module
from typing import Any

import pytest

from accounts.models import Organization, User
from agents.runtime.builtin.http_get import http_get
from agents.runtime.tools import Tool, ToolRegistry
from breakers import tasks
from breakers.choices import HOST, Forced, Outcome, breaker_of_host
from breakers.clients import states
from breakers.errors import BreakerOpen
from breakers.models import CircuitBreaker
from breakers.operations import hosts, standings, switches
from kernel import clock, jobs, loop, redis_client
from kernel.errors import DomainError
from kernel.outbound import OutboundPolicy
from tasks.choices import TaskStatus
from tests.agents.factories import make_agent, registered
from tests.agents.runtime.factories import CONTEXT
from tests.breakers.factories import call, make_breaker, switch
from tests.clients import ApiClient
from tests.peers.script import Answer, Step
from tests.peers.web_server import Site, web_site
from tests.tasks import factories
from tests.tasks.scripted import answering, finish
from tests.threads import race

pytestmark = pytest.mark.django_db(transaction=True)
LOOPBACK = "host:127.0.0.1"
LOCALHOST = "host:localhost"


@pytest.fixture(name="site", scope="module")
def _site() -> Iterator[Site]:
    with web_site() as site:
        yield site


@pytest.fixture
def closed() -> str:
    """Where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def tool(allow: str = "127.0.0.0/8 ::1/128") -> Tool:
    call_host = partial(hosts.call_host, clock=clock.now)
    return http_get(OutboundPolicy.parse(allow), call_host)


def read(organization: Organization, url: str, **how: Any) -> Any:
    """What the tool says, or the refusal that the model would read."""
    context = replace(CONTEXT, organization_id=organization.pk)
    made = ToolRegistry([tool(**how)]).invoke("http_get", context, {"url": url})
    try:
        return loop.get().submit(made).result(20).value["status"]
    except DomainError as error:
        return error.detail


def rows() -> dict[str, tuple[int, str]]:
    """The failures and the state of each breaker."""
    found = list(CircuitBreaker.objects.order_by("name"))
    return {
        each.breaker.name: (each.standing.total_failures, each.state)
        for each in standings.show(breakers=found, now=clock.now())
    }


def in_hours(hours: float) -> datetime:
    return clock.now() + timedelta(hours=hours)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("API.Example.com", "host:api.example.com"),
        ("example.com.", "host:example.com"),
        ("0:0:0:0:0:0:0:1", "host:::1"),
        ("[::1]", "host:::1"),
        ("10.0.0.5", "host:10.0.0.5"),
        ("127.1", "host:127.0.0.1"),
        ("2130706433", "host:127.0.0.1"),
        ("0x7f.1", "host:127.0.0.1"),
        ("[::ffff:127.0.0.1]", "host:127.0.0.1"),
        ("my_service", "host:my_service"),
        ("example.com:8443", ""),
        ("a b", ""),
        ("x" * 124, ""),
        ("", ""),
    ],
)
def test_hosts_are_named_in_one_way(host: str, name: str) -> None:
    assert breaker_of_host(host) == name


@pytest.mark.parametrize("path", ["/html", "/status/404", "/status/429", "/brotli"])
def test_a_host_that_works_leaves_nothing_behind(
    organization: Organization, site: Site, path: str
) -> None:
    read(organization, site.url(path))

    assert not CircuitBreaker.objects.exists()
    assert redis_client.client().keys("hub:breaker:*") == []


@pytest.mark.parametrize(
    ("url", "allow"),
    [
        ("http://127.0.0.1:1/", ""),
        ("http://no-such-host.invalid/", "127.0.0.0/8"),
        ("ftp://127.0.0.1/", "127.0.0.0/8"),
    ],
)
def test_what_is_refused_or_does_not_exist_is_no_fault(
    organization: Organization, url: str, allow: str
) -> None:
    assert isinstance(read(organization, url, allow=allow), str)

    assert not CircuitBreaker.objects.exists()


def test_faults_open_it_and_the_next_call_is_told(
    organization: Organization, other_organization: Organization, site: Site, closed: str
) -> None:
    said = [read(organization, site.url("/status/503")) for _ in range(5)]
    asked = len(site.requests)
    refused = read(organization, closed)

    assert said == [503] * 5
    assert str(refused).startswith("The circuit breaker host:127.0.0.1 is open. Try again in ")
    assert len(site.requests) == asked
    assert rows() == {LOOPBACK: (5, "open")}
    assert read(other_organization, site.url("/html")) == 200


def test_first_failures_at_once_make_one_row_and_all_count(
    organization: Organization, site: Site, admin: User
) -> None:
    race(*[lambda: read(organization, site.url("/status/500"))] * 5)

    (shown,) = ApiClient(admin).get("/api/v1/circuit-breakers").json()["items"]
    assert (shown["service"], shown["state"], shown["total_failures"]) == (LOOPBACK, "open", 5)


def test_no_connection_and_no_answer_are_faults(
    organization: Organization, site: Site, closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = import_module("agents.runtime.builtin.http_get")  # its package has a function so called
    monkeypatch.setattr(page, "DEADLINE_SECONDS", 0.1)

    read(organization, closed)
    read(organization, site.url("/silent"))
    read(organization, site.url("/drip"))

    assert rows() == {LOOPBACK: (3, "closed")}


def test_of_redirects_the_host_that_failed_is_counted(
    organization: Organization, site: Site
) -> None:
    target = site.url("/status/500", host="localhost")

    assert read(organization, site.url(f"/to/{target}")) == 500

    assert rows() == {LOCALHOST: (1, "closed")}


def test_a_run_that_is_cancelled_counts_for_nothing(organization: Organization, site: Site) -> None:
    make_breaker(organization, name=LOOPBACK, failure_threshold=1, success_threshold=1)
    call(organization, Outcome.FAILURE, name=LOOPBACK, now=clock.now() - timedelta(hours=1))
    context = replace(CONTEXT, organization_id=organization.pk)
    slow = ToolRegistry([tool()]).invoke("http_get", context, {"url": site.url("/silent")})
    before = len(site.requests)

    trial = loop.get().submit(slow)
    pause, left = threading.Event(), 1000
    while len(site.requests) == before and left:
        left -= not pause.wait(0.01)
    assert left, "The host was never asked."
    meanwhile = read(organization, site.url("/html"))
    trial.cancel()
    with pytest.raises(CancelledError):
        trial.result(20)

    # The place is given back a moment after the future is told.
    left = 200
    while (said := read(organization, site.url("/html"))) != 200 and left:
        left -= not pause.wait(0.01)
    assert (meanwhile == 200, said) == (False, 200)
    assert rows() == {LOOPBACK: (1, "closed")}


def test_held_open_by_a_person_it_blocks_a_host_that_never_failed(
    organization: Organization, site: Site
) -> None:
    make_breaker(organization, name=LOOPBACK)
    switch(organization, switches.force, name=LOOPBACK, state=Forced.OPEN)
    asked = len(site.requests)

    said = read(organization, site.url("/html"))

    assert (said, len(site.requests)) == (
        "Somebody holds the circuit breaker host:127.0.0.1 open. Ask an administrator.",
        asked,
    )


@pytest.mark.parametrize("forced", [Forced.NOT, Forced.OPEN])
def test_without_redis_only_what_a_person_holds_is_refused(
    organization: Organization, site: Site, monkeypatch: pytest.MonkeyPatch, forced: Forced
) -> None:
    make_breaker(organization, name=LOOPBACK)
    switch(organization, switches.force, name=LOOPBACK, state=forced)
    monkeypatch.setattr(states._silence, "until", float("inf"))

    said = [read(organization, site.url("/status/500")) for _ in range(6)]

    assert said.count(500) == (0 if forced else 6)


def test_models_cannot_fill_the_table(
    organization: Organization, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "MOST_HOSTS", 1)
    make_breaker(organization, name="host:configured.example.com")

    for host in ("localhost", "127.0.0.1", "localhost"):
        read(organization, site.url("/status/500", host=host))

    assert rows() == {"host:configured.example.com": (0, "closed"), LOCALHOST: (2, "closed")}


def test_what_has_not_failed_for_a_day_is_forgotten(
    organization: Organization, other_organization: Organization
) -> None:
    for home, host in ((organization, "old"), (organization, "held"), (other_organization, "new")):
        call(home, Outcome.FAILURE, name=f"{HOST}{host}")
    call(other_organization, Outcome.FAILURE, name=f"{HOST}new", now=in_hours(2))
    call(organization, Outcome.FAILURE, name="provider:openai")
    make_breaker(organization, name=f"{HOST}configured")
    switch(organization, switches.force, name=f"{HOST}held", state=Forced.OPEN)

    tasks.prune_hosts()
    early = hosts.prune_hosts(now=in_hours(23))
    late = hosts.prune_hosts(now=in_hours(25))

    assert (early, late, "breakers.prune_hosts" in jobs.schedule()) == (0, 1, True)
    names = set(CircuitBreaker.objects.values_list("name", flat=True))
    assert names == {"host:held", "host:new", "host:configured", "provider:openai"}
    assert redis_client.client().keys("hub:breaker:*:host:old*") == []


def test_one_that_was_given_limits_is_kept(organization: Organization) -> None:
    call(organization, Outcome.FAILURE, name=LOOPBACK)
    make_breaker(organization, name=LOOPBACK, failure_threshold=9)

    assert hosts.prune_hosts(now=in_hours(48)) == 0


def test_without_redis_nothing_is_forgotten(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(organization, Outcome.FAILURE, name=LOOPBACK)
    monkeypatch.setattr(states._silence, "until", float("inf"))

    assert hosts.prune_hosts(now=in_hours(48)) == 0


def test_the_model_is_told_and_no_retry_is_lost(
    organization: Organization, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_breaker(organization, name=LOOPBACK, failure_threshold=1)
    read(organization, site.url("/status/500"))

    def respond(body: Mapping[str, Any]) -> Step:
        if any(message["role"] == "tool" for message in body["messages"]):
            return Answer(text="I went elsewhere.")
        return Answer(tool_calls=(("fetch", {"url": site.url("/html")}),))

    with answering(monkeypatch, respond) as peer, registered(replace(tool(), name="fetch")):
        agent = make_agent(organization, llm_provider="openai", enabled_tools=["fetch"])
        task = factories.make_task(organization, agent=agent)
        done = finish(factories.claim_one(task))

    assert (done.status, done.retry_count) == (TaskStatus.COMPLETED, 0)
    assert done.result == "I went elsewhere."
    told = peer.requests[-1].body["messages"][-1]["content"]
    assert "The circuit breaker host:127.0.0.1 is open. Try again in" in told


def test_an_open_one_is_raised_before_the_call(organization: Organization) -> None:
    make_breaker(organization, name=LOOPBACK)
    switch(organization, switches.force, name=LOOPBACK, state=Forced.OPEN)

    async def never() -> Any:
        raise AssertionError

    called = loop.get().submit(
        hosts.call_host(organization.pk, "127.0.0.1", never, clock=clock.now)
    )

    with pytest.raises(BreakerOpen):
        called.result(20)
