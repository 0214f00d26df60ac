"""Breakers for tests."""

from contextlib import suppress
from datetime import datetime
from typing import Any

from accounts.models import Organization
from breakers.choices import Outcome
from breakers.errors import BreakerOpen
from breakers.models import CircuitBreaker
from breakers.operations import calls, switches
from kernel import clock
from kernel.actors import SYSTEM

NAME = "provider:openai"


def make_breaker(
    organization: Organization, *, name: str = NAME, now: datetime | None = None, **limits: int
) -> CircuitBreaker:
    """A breaker with these limits."""
    breaker, _ = switches.configure(
        organization_id=organization.pk,
        name=name,
        limits=limits,
        actor=SYSTEM,
        now=now or clock.now(),
    )
    return breaker


def permit(
    organization: Organization, *, name: str = NAME, now: datetime | None = None
) -> calls.Permit:
    """Leave for a call."""
    return calls.permit(organization_id=organization.pk, name=name, now=now or clock.now())


def call(
    organization: Organization,
    outcome: Outcome = Outcome.SUCCESS,
    *,
    name: str = NAME,
    now: datetime | None = None,
) -> bool:
    """A whole call; whether it went out."""
    with suppress(BreakerOpen):
        leave = permit(organization, name=name, now=now)
        calls.report(permit=leave, outcome=outcome, now=now or clock.now())
        return True
    return False


def switch(organization: Organization, operation: Any, *, name: str = NAME, **values: Any) -> Any:
    """What a person does with the breaker."""
    return operation(
        organization_id=organization.pk,
        name=name,
        actor=SYSTEM,
        **{"now": clock.now(), **values},
    )
