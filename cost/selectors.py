"""Questions about cost: the price of a call, the total of a task."""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from importlib.metadata import version
from typing import Final, Protocol
from uuid import UUID

import genai_prices
from django.db.models import Count, Q, QuerySet, Sum

from cost.models import UsageRecord

# The precision of the ledger's column: a hundred-millionth of a dollar.
CENT: Final = Decimal("0.00000001")
FREE: Final = Decimal(0)
DEMO: Final = "demo"
PRICE_LIST: Final = f"genai-prices {version('genai-prices')}"


class TokenUsage(Protocol):
    """Tokens of one call, as `agents.runtime.spec.Usage` has them."""

    @property
    def input_tokens(self) -> int:
        """Including those read from or written to the provider's cache."""

    @property
    def output_tokens(self) -> int: ...

    @property
    def cache_read_tokens(self) -> int: ...

    @property
    def cache_write_tokens(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Price:
    """What a call costs. Not priced means that nobody knows: the 0 then is not a price."""

    cost_usd: Decimal
    is_priced: bool
    source: str = ""


@dataclass(frozen=True, slots=True)
class Total:
    """Sums over ledger rows. With `unpriced_calls` above 0, `cost_usd` is a lower bound."""

    cost_usd: Decimal
    input_tokens: int
    output_tokens: int
    calls: int
    unpriced_calls: int


def price(*, provider: str, model: str, usage: TokenUsage, at: datetime) -> Price:
    """The price of one call made `at` that time, from the list that ships with genai-prices.

    No network. Models that the list does not know under this provider (local ones behind a
    custom base URL among them) and usage that makes no sense are 0 and not priced; the offline
    `demo` provider is free, and priced.
    """
    if provider == DEMO:
        return Price(FREE, is_priced=True, source=DEMO)
    try:
        found = genai_prices.calc_price(
            genai_prices.Usage(
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cache_read_tokens=usage.cache_read_tokens,
                cache_write_tokens=usage.cache_write_tokens,
            ),
            model,
            provider_id=provider,
            genai_request_timestamp=at,
        )
    except (LookupError, ValueError):
        return Price(FREE, is_priced=False)
    cost = found.total_price.quantize(CENT, rounding=ROUND_HALF_UP)
    return Price(cost, is_priced=True, source=PRICE_LIST)


def list_usage(*, organization_id: UUID) -> QuerySet[UsageRecord]:
    """An organization's ledger, newest first."""
    return UsageRecord.objects.filter(organization_id=organization_id).order_by(
        "-occurred_at", "-pk"
    )


def total(
    *,
    organization_id: UUID,
    task_id: UUID | None = None,
    agent_id: UUID | None = None,
    execution_id: UUID | None = None,
) -> Total:
    """Sums over the organization's rows that have each of the ids given."""
    asked = {"task_id": task_id, "agent_id": agent_id, "execution_id": execution_id}
    rows = UsageRecord.objects.filter(
        organization_id=organization_id, **{k: v for k, v in asked.items() if v is not None}
    )
    sums = rows.aggregate(
        cost_usd=Sum("cost_usd", default=FREE),
        input_tokens=Sum("input_tokens", default=0),
        output_tokens=Sum("output_tokens", default=0),
        calls=Count("pk"),
        unpriced_calls=Count("pk", filter=Q(is_priced=False)),
    )
    return Total(**sums)
