"""What a model call costs, and what it can cost at most."""

from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import Final, Protocol
from uuid import UUID

import genai_prices
from django.db.models import QuerySet
from genai_prices import data_snapshot
from genai_prices.types import ModelInfo, TieredPrices
from genai_prices.types import ModelPrice as ListPrice

from cost.choices import CENT, DEMO, FREE
from cost.errors import PriceNotFound
from cost.models import ModelPrice

PRICE_LIST: Final = f"genai-prices {version('genai-prices')}"
MILLION: Final = 1_000_000
# What each kind of token that is sent costs, and one that is received. A price for anything else is
# left to the library.
_SENT: Final = ("input_mtok", "cache_read_mtok", "cache_write_mtok")
_RECEIVED: Final = "output_mtok"
_PLAIN: Final = frozenset({*_SENT, _RECEIVED})


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
    cached = usage.cache_read_tokens or usage.cache_write_tokens
    sent, received = usage.input_tokens, usage.output_tokens
    try:
        listed = None if cached else _plain(provider, model, at)
        if listed is not None and sent >= 0 and received >= 0:
            return _listed(_cost(listed, _SENT[:1], sent, received))
        asked = genai_prices.Usage(
            input_tokens=sent,
            output_tokens=received,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_write_tokens,
        )
        return _listed(_look_up(provider, model, asked, at).total_price)
    except (LookupError, ValueError):
        return Price(FREE, is_priced=False)


def worst_case(
    *, provider: str, model: str, input_tokens: int, output_tokens: int, at: datetime
) -> Price:
    """What a call costs at most that takes up to so many tokens, by the same list.

    Writing to the provider's cache may cost more than sending, so the dearest way to send counts.
    """
    asked = {"input_tokens": input_tokens, "output_tokens": output_tokens}
    try:
        if (listed := _plain(provider, model, at)) is not None:
            return _listed(_cost(listed, _SENT, input_tokens, output_tokens))
        found = _look_up(provider, model, genai_prices.Usage(**asked), at)
        costs = [found.total_price]
        for kind in ("cache_write", "cache_read"):
            if getattr(found.model_price, f"{kind}_mtok", None) is not None:
                cached = genai_prices.Usage(**asked, **{f"{kind}_tokens": input_tokens})
                costs.append(_look_up(provider, model, cached, at).total_price)
    except (LookupError, ValueError):
        return Price(FREE, is_priced=False)
    return _listed(max(costs))


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


def _plain(provider: str, model: str, at: datetime) -> ListPrice | None:
    """The prices of a model that charges for nothing but tokens of text, else None.

    The library asks its whole register of units for each call, a third of a millisecond of CPU.
    Raises LookupError for a model that it does not know.
    """
    found = _model(provider, model)
    if found is None:
        raise LookupError(model)
    listed = found.get_prices(at)
    charged = {name for name, price in vars(listed).items() if price is not None}
    return listed if charged <= _PLAIN else None


@lru_cache(maxsize=1024)
def _model(provider: str, model: str) -> ModelInfo | None:
    """The model of the list that ships with the library, which never changes."""
    try:
        return data_snapshot.get_snapshot().find_provider_model(model, None, provider, None)[1]
    except LookupError:
        return None


def _cost(listed: ListPrice, kinds: tuple[str, ...], sent: int, received: int) -> Decimal:
    """What the dearest of `kinds` costs for all that is sent, and what is received."""
    dearest = max(_rate(listed, kind, sent) for kind in kinds)
    return (dearest * sent + _rate(listed, _RECEIVED, sent) * received) / MILLION


def _rate(listed: ListPrice, kind: str, sent: int) -> Decimal:
    """For a million tokens: the highest tier that so many sent ones reach counts for all."""
    price = getattr(listed, kind)
    if isinstance(price, TieredPrices):
        reached = [tier.price for tier in price.tiers if sent > tier.start]
        return reached[-1] if reached else price.base
    return price or FREE


def _listed(cost_usd: Decimal) -> Price:
    return Price(_round(cost_usd), is_priced=True, source=PRICE_LIST)


def _look_up(
    provider: str, model: str, usage: genai_prices.Usage, at: datetime
) -> genai_prices.types.PriceCalculation:
    return genai_prices.calc_price(usage, model, provider_id=provider, genai_request_timestamp=at)


def _round(cost: Decimal) -> Decimal:
    return cost.quantize(CENT, rounding=ROUND_HALF_UP)
