"""The console's template filters (`{% load console %}`): `kernel.display` for templates."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import template
from django.db.models import Model

from agents.admin import standing
from agents.models import AgentExecution
from agents.runtime.providers import DEMO, PROVIDERS
from kernel import display

register = template.Library()


@register.filter
def money(cost_usd: Decimal) -> str:
    """`$0.0000`."""
    return display.money(cost_usd)


@register.filter
def seconds(value: float | None) -> str:
    """A number of seconds in words."""
    return display.duration(value)


@register.filter
def milliseconds(value: int) -> str:
    """A number of milliseconds in words."""
    return display.duration(value / 1000)


@register.filter
def since(moment: datetime | None, now: datetime) -> str:
    """`3 min ago`."""
    return display.since(moment, now=now)


@register.filter
def age(moment: datetime | None, now: datetime) -> str:
    """How long ago, as a duration."""
    return display.duration(max((now - moment).total_seconds(), 1) if moment else None)


@register.filter
def left(moment: datetime | None, now: datetime) -> str:
    """How long until then, as a duration."""
    return display.duration(max((moment - now).total_seconds(), 1) if moment else None)


@register.filter
def run_status(run: AgentExecution) -> str:
    """How a run of an agent stands: one that was held has not failed."""
    return standing.standing(run)


@register.filter
def is_held(run: AgentExecution | None) -> bool:
    """Whether it stopped for something that may pass."""
    return standing.is_held(run)


@register.filter
def status(row: Model, field: str = "status") -> str:
    """A row's state as a coloured word."""
    return display.status(getattr(row, field), getattr(row, f"get_{field}_display")())


@register.filter
def identifier(value: object) -> str:
    """The end of an id, to copy."""
    return display.identifier(value)


@register.filter
def structure(value: Any) -> str:
    """A JSON value, indented."""
    return display.structure(value)


@register.filter
def words(state: str) -> str:
    """`not_configured` as people write it."""
    return state.replace("_", " ")


@register.filter
def provider(name: str) -> str:
    """A provider's name; the demo says what it is not."""
    if name == DEMO:
        return "Demo provider (offline, not a language model)"
    return PROVIDERS[name].label if name in PROVIDERS else name
