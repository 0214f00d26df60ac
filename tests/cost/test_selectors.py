"""Prices and totals."""

from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from uuid import uuid4

import genai_prices
import pytest
from genai_prices import data_snapshot
from pytest_django.fixtures import DjangoAssertNumQueries

from accounts.models import Organization
from cost.selectors import prices, usage
from cost.selectors.prices import PRICE_LIST, Price
from cost.selectors.usage import Total
from tests.cost import factories
from tests.cost.factories import NOW, Usage

UNKNOWN = Price(Decimal(0), is_priced=False)


def price(provider: str, model: str, used: Usage | None = None) -> Price:
    return prices.price(provider=provider, model=model, usage=used or Usage(), at=NOW)


@pytest.mark.parametrize(
    ("provider", "model", "cost"),
    [
        ("openai", "gpt-4o", "3.5"),
        ("anthropic", "claude-sonnet-4-0", "4.5"),
        ("google", "gemini-2.5-flash", "0.55"),
    ],
)
def test_known_models_have_their_list_price(provider: str, model: str, cost: str) -> None:
    assert price(provider, model) == Price(Decimal(cost), is_priced=True, source=PRICE_LIST)


def test_cached_tokens_have_their_own_price() -> None:
    cached = Usage(output_tokens=0, cache_read_tokens=600_000, cache_write_tokens=100_000)

    found = price("anthropic", "claude-sonnet-4-0", cached)

    # 300,000 at 3 USD a million, 600,000 read at 0.30, 100,000 written at 3.75.
    assert found.cost_usd == Decimal("1.455")


def test_prices_are_exact_to_the_ledgers_last_digit() -> None:
    found = price("openai", "gpt-4o-mini", Usage(input_tokens=1, output_tokens=1))

    assert found.cost_usd == Decimal("0.00000075")
    assert found.cost_usd.as_tuple().exponent == -8


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "llama3.2"),
        ("openai", "gpt-4o-of-our-own"),
        ("openai", ""),
        ("nobody", "gpt-4o"),
        ("", "gpt-4o"),
    ],
)
def test_unknown_models_are_flagged_not_guessed(provider: str, model: str) -> None:
    assert price(provider, model) == UNKNOWN


def test_usage_that_makes_no_sense_is_flagged() -> None:
    assert price("openai", "gpt-4o", Usage(input_tokens=1, cache_read_tokens=2)) == UNKNOWN


@pytest.mark.parametrize("sent", [1_234, 300_001])
def test_prices_are_those_of_the_library(sent: int) -> None:
    """Of every twentieth model of its list, in and above the first tier of those that have some."""
    listed = [(p.id, m.id) for p in data_snapshot.get_snapshot().providers for m in p.models][::20]

    for provider, model in listed:
        found = price(provider, model, Usage(sent, 77))
        bound = prices.worst_case(
            provider=provider, model=model, input_tokens=sent, output_tokens=77, at=NOW
        )
        costs = [library(provider, model, sent, **kind) for kind in KINDS]
        assert found.cost_usd == costs[0], model
        assert bound.cost_usd == max(costs), model
    assert len(listed) > 100


KINDS: list[dict[str, int]] = [{}, {"cache_read": 1}, {"cache_write": 1}]


def library(provider: str, model: str, sent: int, **cached: int) -> Decimal:
    """What genai-prices says; all that is sent is cached in the one way that is named."""
    asked = {f"{kind}_tokens": sent for kind in cached}
    try:
        found = genai_prices.calc_price(
            genai_prices.Usage(input_tokens=sent, output_tokens=77, **asked),
            model,
            provider_id=provider,
            genai_request_timestamp=NOW,
        )
    except (LookupError, ValueError):
        return Decimal(0)
    return found.total_price.quantize(Decimal("0.00000001"), rounding=ROUND_HALF_UP)


def test_the_demo_provider_is_free_and_priced() -> None:
    assert price("demo", "demo") == Price(Decimal(0), is_priced=True, source="demo")


def test_prices_need_no_network(socket_disabled: None) -> None:
    assert price("openai", "gpt-4.1").is_priced


def test_totals_are_exact_and_by_id(organization: Organization) -> None:
    task_id, agent_id, execution_id = uuid4(), uuid4(), uuid4()
    small = Usage(input_tokens=1, output_tokens=1)
    for ordinal in range(3):
        factories.record(
            organization,
            model="gpt-4o-mini",
            usage=small,
            execution_id=execution_id,
            ordinal=ordinal,
            task_id=task_id,
            agent_id=agent_id,
        )
    factories.record(organization, model="llama3.2", usage=small, task_id=task_id)
    factories.record(organization, agent_id=agent_id)

    mine = Total(Decimal("0.00000225"), 3, 3, calls=3, unpriced_calls=0)
    of = organization.pk
    assert usage.total(organization_id=of, execution_id=execution_id) == mine
    assert usage.total(organization_id=of, task_id=task_id) == Total(
        Decimal("0.00000225"), 4, 4, calls=4, unpriced_calls=1
    )
    assert usage.total(organization_id=of, task_id=task_id, agent_id=agent_id) == mine
    assert usage.total(organization_id=of).calls == 5


def test_nothing_costs_nothing(
    organization: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        found = usage.total(organization_id=organization.pk, task_id=uuid4())

    assert found == Total(Decimal(0), 0, 0, calls=0, unpriced_calls=0)


def test_totals_and_lists_stay_in_the_organization(
    organization: Organization, other_organization: Organization
) -> None:
    task_id = uuid4()
    factories.record(organization, task_id=task_id)

    assert usage.total(organization_id=other_organization.pk, task_id=task_id).calls == 0
    assert not usage.list_usage(organization_id=other_organization.pk).exists()


def test_the_ledger_is_newest_first(organization: Organization) -> None:
    late = factories.record(organization, now=NOW + timedelta(hours=1))
    early = factories.record(organization)
    same = factories.record(organization)

    found = list(usage.list_usage(organization_id=organization.pk))

    assert [row.pk for row in found] == [late.pk, same.pk, early.pk]
