"""Usage and ledger rows for tests."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from accounts.models import Organization
from cost import operations
from cost.models import UsageRecord

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call."""

    input_tokens: int = 1_000_000
    output_tokens: int = 100_000
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0


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
