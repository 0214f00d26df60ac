"""Usage and ledger rows for tests."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from accounts.models import Organization
from cost import operations
from cost.models import Budget, BudgetWindow, ModelPrice, UsageRecord
from cost.operations import budgets, own_prices, reservations, unanswered
from kernel.actors import SYSTEM

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call."""

    input_tokens: int = 1_000_000
    output_tokens: int = 100_000
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    unmeasured_requests: int = 0


def record(organization: Organization, **fields: Any) -> UsageRecord:
    """A booked call of its own execution."""
    asked: dict[str, Any] = {
        "provider": "openai",
        "model": "gpt-4o",
        "usage": Usage(),
        "execution_id": uuid4(),
        "ordinal": 0,
        "now": NOW,
    }
    return operations.record_usage(organization_id=organization.pk, **asked | fields)


@dataclass(frozen=True, slots=True)
class Call:
    """A model call of some run; 1,000 tokens in and 100 out of gpt-4o cost 0.0035 USD."""

    organization_id: UUID
    execution_id: UUID = field(default_factory=uuid4)
    ordinal: int = 0
    agent_id: UUID | None = None
    task_id: UUID | None = None
    provider: str = "openai"
    model: str = "gpt-4o"
    input_tokens: int = 1_000
    output_tokens: int = 100
    now: datetime = NOW

    def reserve(self, **changes: Any) -> None:
        """Before it goes out."""
        asked = {name: getattr(self, name) for name in self.__slots__}
        reservations.reserve(**asked | changes)

    def book(self, **changes: Any) -> UsageRecord:
        """When it was answered; by default with all the tokens that were reserved."""
        asked = {name: getattr(self, name) for name in self.__slots__}
        used = Usage(asked.pop("input_tokens"), asked.pop("output_tokens"))
        return operations.record_usage(**{"usage": used} | asked | changes)

    def give_up(self) -> None:
        """When nobody knows whether it was."""
        unanswered.book_given_up(execution_id=self.execution_id, ordinal=self.ordinal, now=self.now)

    def release(self) -> None:
        """When it was not."""
        reservations.release(
            organization_id=self.organization_id,
            execution_id=self.execution_id,
            ordinal=self.ordinal,
        )


def make_budget(organization: Organization, limit: str = "1", **values: Any) -> Budget:
    """A hard budget of the organization's month."""
    asked: dict[str, Any] = {
        "scope": "organization",
        "period": "month",
        "limit_usd": Decimal(limit),
        "is_hard": True,
        "actor": SYSTEM,
        "now": NOW,
    }
    return budgets.create_budget(organization_id=organization.pk, **asked | values)


def change_budget(budget: Budget, *, now: datetime = NOW, **values: Any) -> None:
    """What a person changes."""
    budgets.change_budget(
        organization_id=budget.organization_id,
        budget_id=budget.pk,
        values=values,
        actor=SYSTEM,
        now=now,
    )


def make_price(organization: Organization, **values: Any) -> ModelPrice:
    """1 USD for a million tokens in, 10 USD for a million out, of any llama."""
    asked: dict[str, Any] = {
        "provider": "openai",
        "model": "llama*",
        "input_usd": Decimal(1),
        "output_usd": Decimal(10),
        "actor": SYSTEM,
        "now": NOW,
    }
    return own_prices.create_price(organization_id=organization.pk, **asked | values)


def window(**values: Any) -> tuple[Decimal | int, Decimal | int]:
    """What was spent in the one window that has these values, and what is reserved."""
    found = BudgetWindow.objects.get(**values)
    return found.spent_usd, found.reserved_usd
