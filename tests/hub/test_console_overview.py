"""The front page: figures, lists, warnings, and that it costs the same with any history."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import Organization, User
from agents.models import Agent
from agents.operations import catalogue
from audit.models import AuditEvent
from hub.console import overview
from hub.console.overview import Overview
from hub.env import Provider
from kernel import clock
from tasks.choices import TaskStatus
from tasks.models import Task
from tests.agents.factories import make_agent
from tests.cost import factories as cost
from tests.dead_letters.factories import make_dead
from tests.hub.console_rows import finish_task
from tests.tasks.factories import claim_all, make_task

NOW = datetime(2026, 3, 8, 12, tzinfo=UTC)


def look(organization: Organization, now: datetime = NOW) -> Overview:
    return overview.get_overview(organization_id=organization.pk, now=now)


def counted(tally: overview.Tally) -> dict[str, int]:
    return {value: count for value, _, count in tally.counts if count}


def titles(warnings: Any) -> list[str]:
    return [warning.title for warning in warnings]


@pytest.fixture
def configured(settings: LazySettings) -> Iterator[None]:
    """A hub with a provider's key."""
    settings.HUB_PROVIDERS = {"openai": Provider(api_key="key")}
    catalogue.providers.cache_clear()
    yield
    catalogue.providers.cache_clear()


def test_tasks_are_counted_by_status(organization: Organization) -> None:
    agent = make_agent(organization, max_concurrent_tasks=1)
    for _ in range(2):
        make_task(organization, agent=agent, now=NOW)
    claim_all(now=NOW)
    make_task(organization, now=NOW)
    make_task(organization, now=NOW - timedelta(days=2))

    shown = look(organization)

    assert counted(shown.open_now) == {"pending": 2, "assigned": 1, "in_progress": 1}
    assert counted(shown.today) == {"pending": 1, "assigned": 1, "in_progress": 1}
    assert counted(shown.agents) == {"busy": 1}
    assert [task.agent for task in shown.running] == [agent]


def test_what_failed_or_waits_for_review_needs_a_person(organization: Organization) -> None:
    review, direct, _ = (make_task(organization, now=NOW) for _ in range(3))
    broken = make_dead(organization, now=NOW)
    Task.objects.filter(pk=review.pk).update(status=TaskStatus.REVIEW)
    Task.objects.filter(pk=direct.pk).update(status=TaskStatus.FAILED, source="rest")

    shown = look(organization)

    assert [task.pk for task in shown.needs_person] == [review.pk, broken.pk]
    assert counted(shown.open_now)["review"] == 1


def test_the_last_finished_come_first(organization: Organization) -> None:
    first, last = (
        finish_task(organization, now=NOW - timedelta(minutes=minutes)).task for minutes in (5, 1)
    )

    assert [task.pk for task in look(organization).finished] == [last.pk, first.pk]


def test_a_backlog_does_not_hide_what_comes_out_of_it(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "LATEST", 2)
    done = finish_task(organization, now=NOW - timedelta(hours=1)).task
    for _ in range(3):
        make_task(organization, now=NOW)

    assert [task.pk for task in look(organization).finished] == [done.pk]


def test_spend_is_summed_by_day(
    organization: Organization, other_organization: Organization
) -> None:
    for days in (0, 0, 6, 8):
        cost.record(organization, now=NOW - timedelta(days=days, hours=1))
    cost.record(other_organization, now=NOW)

    spend = look(organization).spend

    price = Decimal("3.5")
    assert [day.cost_usd for day in spend.days] == [price, 0, 0, 0, 0, 0, 2 * price]
    assert [day.share for day in spend.days] == [50, 0, 0, 0, 0, 0, 100]
    assert (spend.cost_usd, spend.calls, spend.is_lower_bound) == (3 * price, 3, False)


def test_unknown_prices_make_the_spend_a_lower_bound(organization: Organization) -> None:
    cost.record(organization, model="nobody-knows-it", now=NOW)

    spend = look(organization).spend

    assert (spend.unpriced_calls, spend.is_lower_bound) == (1, True)


def test_figures_at_the_window_say_so(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "WINDOW", 2)
    monkeypatch.setattr(overview, "LEDGER_WINDOW", 2)
    for _ in range(3):
        make_task(organization, now=NOW)
        cost.record(organization, now=NOW)

    shown = look(organization)

    assert shown.today.is_capped
    assert counted(shown.today) == {"pending": 2}
    assert shown.spend.is_lower_bound


def test_without_a_provider_it_says_what_the_demo_is(organization: Organization) -> None:
    (warning,) = look(organization).warnings

    assert warning.title == "No model provider is configured."
    assert "not a language model" in warning.advice


@pytest.mark.usefixtures("configured")
def test_with_a_provider_it_names_the_agents_left_on_the_demo(organization: Organization) -> None:
    make_agent(organization, llm_provider="openai")
    assert look(organization).warnings == []

    make_agent(organization, name="Guide")
    assert titles(look(organization).warnings) == ["On the demo provider: Guide."]


@pytest.mark.usefixtures("configured")
def test_tasks_that_nobody_takes_mean_no_worker(organization: Organization) -> None:
    agent = make_agent(organization, llm_provider="openai")
    make_task(organization, agent=agent, now=NOW)

    assert look(organization, NOW + timedelta(seconds=10)).warnings == []
    late = NOW + timedelta(seconds=11)
    assert titles(look(organization, late).warnings) == ["No worker takes tasks."]

    Agent.objects.update(is_active=False)
    assert look(organization, late).warnings == []


@pytest.mark.usefixtures("configured")
def test_an_unsealed_chain_is_named_after_a_minute(organization: Organization) -> None:
    AuditEvent.objects.create(
        organization_id=organization.pk, occurred_at=NOW, action="x", actor_type="system"
    )

    assert look(organization, NOW + timedelta(seconds=60)).warnings == []
    late = look(organization, NOW + timedelta(seconds=61))
    assert titles(late.warnings) == ["The audit chain is not sealed."]


def test_nothing_of_another_organization_is_shown(
    organization: Organization, other_organization: Organization
) -> None:
    finish_task(other_organization, now=NOW)
    make_task(other_organization, now=NOW)

    shown = look(organization)

    assert [counted(t) for t in (shown.open_now, shown.today, shown.agents)] == [{}, {}, {}]
    assert [*shown.running, *shown.finished, *shown.needs_person] == []
    assert shown.spend.calls == 0


def test_it_costs_at_most_fourteen_queries_whatever_is_there(organization: Organization) -> None:
    with CaptureQueriesContext(
        connection,
    ) as empty:
        look(organization)
    for _ in range(12):
        finish_task(organization, now=NOW)
        make_task(organization, now=NOW)

    with CaptureQueriesContext(connection) as full:
        look(organization)

    assert (len(empty), len(full)) == (13, 14)


def test_the_page_shows_it(client: Client, viewer: User) -> None:
    finish_task(viewer.organization, title="Tell me", provider="openai", now=clock.now())
    client.force_login(viewer)

    page = client.get(reverse("admin:index")).content.decode()

    assert "<title>" in page
    assert "Overview | Agent Hub" in page
    assert "Tell me" in page
    assert "$3.5000" in page
