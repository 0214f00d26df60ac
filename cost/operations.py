"""Booking what was used."""

from datetime import datetime
from uuid import UUID

from cost import selectors
from cost.models import UsageRecord


def record_usage(
    *,
    organization_id: UUID,
    provider: str,
    model: str,
    usage: selectors.TokenUsage,
    execution_id: UUID | None,
    ordinal: int,
    agent_id: UUID | None = None,
    task_id: UUID | None = None,
    user_id: UUID | None = None,
    now: datetime,
) -> UsageRecord:
    """Book one model call, in the caller's transaction.

    `ordinal` numbers the calls of an execution. Booking the same call again changes nothing and
    gives the row that is there.
    """
    cost = selectors.price(provider=provider, model=model, usage=usage, at=now)
    record = UsageRecord(
        organization_id=organization_id,
        provider=provider,
        model=model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cost_usd=cost.cost_usd,
        is_priced=cost.is_priced,
        price_source=cost.source,
        execution_id=execution_id,
        ordinal=ordinal,
        agent_id=agent_id,
        task_id=task_id,
        user_id=user_id,
        occurred_at=now,
    )
    # Not get_or_create: its savepoint would cost two round trips on the path of every call.
    UsageRecord.objects.bulk_create([record], ignore_conflicts=True)
    if execution_id is None:
        return record
    return UsageRecord.objects.get(
        organization_id=organization_id, execution_id=execution_id, ordinal=ordinal
    )
