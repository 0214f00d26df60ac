"""What a model call costs, and what it can cost at most."""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from importlib.metadata import version
from typing import Final, Protocol
from uuid import UUID

import genai_prices
from django.db.models import QuerySet

from cost.choices import CENT, DEMO, FREE
from cost.errors import PriceNotFound
from cost.models import ModelPrice

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

    @property
    def unmeasured_requests(self) -> int:
        """Answers without figures; if there is one, the tokens are too few."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a call costs. Not priced means that nobody knows: the 0 then is not a price."""

    cost_usd: Decimal
    is_priced: bool
    source: str = ""


def price(*, provider: str, model: str, usage: TokenUsage, at: datetime) -> Price:
    """The price of one call made `at` that time, from the list that ships with genai-prices.

    No network. Models that the list does not know under this provider (local ones behind a
    custom base URL among them) and usage that makes no sense are 0 and not priced; the offline
    `demo` provider is free, and priced. Prices of the organization's own (`ModelPrice`) go before
    it: `cost_own_price_1` of the database looks for them.
    """
    if provider == DEMO:
        return Price(FREE, is_priced=True, source=DEMO)
    asked = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )
    try:
        found = _look_up(provider, model, asked, at)
    except (LookupError, ValueError):
        return Price(FREE, is_priced=False)
    return Price(_round(found.total_price), is_priced=True, source=PRICE_LIST)


def worst_case(
    *, provider: str, model: str, input_tokens: int, output_tokens: int, at: datetime
) -> Price:
    """What a call costs at most that takes up to so many tokens, by the same list.

    Writing to the provider's cache may cost more than sending, so the dearest way to send counts.
    """
    asked = {"input_tokens": input_tokens, "output_tokens": output_tokens}
    try:
        found = _look_up(provider, model, genai_prices.Usage(**asked), at)
        costs = [found.total_price]
        for kind in ("cache_write", "cache_read"):
            if getattr(found.model_price, f"{kind}_mtok", None) is not None:
                cached = genai_prices.Usage(**asked, **{f"{kind}_tokens": input_tokens})
                costs.append(_look_up(provider, model, cached, at).total_price)
    except (LookupError, ValueError):
        return Price(FREE, is_priced=False)
    return Price(_round(max(costs)), is_priced=True, source=PRICE_LIST)


def list_prices(*, organization_id: UUID) -> QuerySet[ModelPrice]:
    """The organization's own prices, by provider and model."""
    rows = ModelPrice.objects.filter(organization_id=organization_id)
    return rows.order_by("provider", "model", "pk")


def get_price(*, organization_id: UUID, price_id: UUID) -> ModelPrice:
    """One of them; raises PriceNotFound."""
    found = ModelPrice.objects.filter(organization_id=organization_id, pk=price_id).first()
    if found is None:
        raise PriceNotFound
    return found


def _look_up(
    provider: str, model: str, usage: genai_prices.Usage, at: datetime
) -> genai_prices.types.PriceCalculation:
    return genai_prices.calc_price(usage, model, provider_id=provider, genai_request_timestamp=at)


def _round(cost: Decimal) -> Decimal:
    return cost.quantize(CENT, rounding=ROUND_HALF_UP)
