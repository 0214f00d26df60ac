"""Prices of the organization's own."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction

from audit import operations as audit
from cost.choices import DEMO
from cost.errors import PriceExists, PriceNotFound
from cost.models import ModelPrice
from cost.operations import budgets
from kernel.actors import Actor
from kernel.errors import Invalid


@transaction.atomic
def create_price(
    *,
    organization_id: UUID,
    provider: str,
    model: str,
    input_usd: Decimal,
    output_usd: Decimal,
    actor: Actor,
    now: datetime,
) -> ModelPrice:
    """Say what a model costs here, in US dollars for a million tokens. Raises PriceExists."""
    if provider == DEMO:
        raise Invalid.field("provider", "The demo provider is free.")
    price = ModelPrice(
        organization_id=organization_id,
        provider=provider,
        model=model,
        input_usd=input_usd,
        output_usd=output_usd,
        created_at=now,
        updated_at=now,
    )
    ModelPrice.objects.bulk_create([price], ignore_conflicts=True)
    if not ModelPrice.objects.filter(pk=price.pk).exists():
        raise PriceExists
    told = {"input_usd": str(input_usd), "output_usd": str(output_usd)}
    _record(price, "price.create", actor, now, told)
    return price


@transaction.atomic
def change_price(
    *,
    organization_id: UUID,
    price_id: UUID,
    values: Mapping[str, Decimal],
    actor: Actor,
    now: datetime,
) -> ModelPrice:
    """Change input_usd or output_usd; calls that were booked keep their cost. PriceNotFound."""
    price = _lock(organization_id, price_id)
    changes = {
        name: [str(getattr(price, name)), str(value)]
        for name, value in values.items()
        if getattr(price, name) != value
    }
    if not changes:
        return price
    for name in changes:
        setattr(price, name, values[name])
    price.updated_at = now
    price.save(update_fields=[*changes, "updated_at"])
    _record(price, "price.update", actor, now, {"changes": changes})
    return price


@transaction.atomic
def delete_price(*, organization_id: UUID, price_id: UUID, actor: Actor, now: datetime) -> None:
    """From now on the price list counts again. Raises PriceNotFound."""
    price = _lock(organization_id, price_id)
    _record(price, "price.delete", actor, now, {})
    price.delete()


def _lock(organization_id: UUID, price_id: UUID) -> ModelPrice:
    rows = ModelPrice.objects.select_for_update().filter(organization_id=organization_id)
    price = rows.filter(pk=price_id).first()
    if price is None:
        raise PriceNotFound
    return price


def _record(
    price: ModelPrice, action: str, actor: Actor, now: datetime, details: Mapping[str, Any]
) -> None:
    audit.record(
        actor=actor,
        organization_id=price.organization_id,
        action=action,
        resource_type="price",
        resource_id=price.pk,
        details={"provider": price.provider, "model": price.model, **details},
        now=now,
    )
    budgets.raised(price.organization_id, now)
