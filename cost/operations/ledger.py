"""Booking what was used: the ledger's row, what its budgets count, what was reserved for it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from cost.choices import ESTIMATED_SOURCE, FREE
from cost.models import Reservation, UsageRecord
from cost.operations import alerts, windows
from cost.operations.alerts import Counted
from cost.selectors import prices
from kernel import ids

_BOOK: Final = """
SELECT * FROM cost_book_1(%(lock_space)s, %(lock_key)s, %(id)s, %(organization_id)s, %(agent_id)s,
  %(task_id)s, %(execution_id)s, %(user_id)s, %(ordinal)s, %(kept_ordinal)s, %(provider)s,
  %(model)s, %(input_tokens)s, %(output_tokens)s, %(cache_read_tokens)s, %(cache_write_tokens)s,
  %(list_usd)s, %(is_listed)s, %(is_measured)s, %(is_estimate)s, %(price_source)s, %(own_source)s,
  %(other_source)s, %(now)s)
"""
OWN_SOURCE: Final = "organization"
# An answer came without figures: what was reserved counts, the most that it can have cost.
UNMEASURED_SOURCE: Final = "unmeasured"


@dataclass(frozen=True, slots=True)
class _Booked:
    """What the statement gave back; `row` is None for a call that was booked before."""

    row: tuple[Decimal, bool, str, datetime] | None
    reserved_usd: Decimal | None
    counted: list[Counted]


# Joins the caller's: a savepoint would be two more messages on the path of every call.
@transaction.atomic(savepoint=False)
def record_usage(
    *,
    organization_id: UUID,
    provider: str,
    model: str,
    answered_by: str = "",
    usage: prices.TokenUsage,
    execution_id: UUID | None,
    ordinal: int,
    agent_id: UUID | None = None,
    task_id: UUID | None = None,
    user_id: UUID | None = None,
    now: datetime,
) -> UsageRecord:
    """Book one model call, in the caller's transaction: in one message to the database.

    `model` is what was asked for, as it was reserved; `answered_by` is the name in the answer. It
    counts only where the list has a higher price for it, or the only one: aliases are common.
    `ordinal` numbers the calls of an execution. Booking the same call again changes nothing and
    gives the row that is there. What was reserved for it is given back, and the windows of its
    budgets count what it cost. The windows stay locked to the transaction's end: book late in it.
    """
    listed = max(
        (
            prices.price(provider=provider, model=name, usage=usage, at=now)
            for name in {model, answered_by or model}
        ),
        key=lambda found: (found.is_priced, found.cost_usd),
    )
    record = UsageRecord(
        id=ids.new(),
        created_at=now,
        updated_at=now,
        organization_id=organization_id,
        provider=provider,
        model=model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        execution_id=execution_id,
        ordinal=ordinal,
        agent_id=agent_id,
        task_id=task_id,
        user_id=user_id,
    )
    booked = _book(record, listed, is_measured=not usage.unmeasured_requests)
    if booked.row is None:
        return UsageRecord.objects.get(
            organization_id=organization_id, execution_id=execution_id, ordinal=ordinal
        )
    record.cost_usd, record.is_priced, record.price_source, record.occurred_at = booked.row
    record._state.adding, record._state.db = False, connection.alias
    alerts.tell(record=record, reserved_usd=booked.reserved_usd, counted=booked.counted, now=now)
    return record


@transaction.atomic(savepoint=False)
def record_unanswered(*, held: Reservation, may_be_answered: bool, now: datetime) -> None:
    """Count all that was held for a call as spent, in the caller's transaction, if it still is.

    Nobody knows what the call cost; this is the most that it can have. `may_be_answered`: an answer
    that comes after all changes nothing. Else the call's number is free for another model's answer.
    """
    record = UsageRecord(
        id=ids.new(),
        created_at=now,
        updated_at=now,
        organization_id=held.organization_id,
        provider=held.provider,
        model=held.model,
        execution_id=held.execution_id,
        ordinal=held.ordinal,
        agent_id=held.agent_id,
        task_id=held.task_id,
        user_id=held.user_id,
    )
    kept = held.ordinal if may_be_answered else None
    estimate = {"is_estimate": True, "kept_ordinal": kept, "other_source": ESTIMATED_SOURCE}
    booked = _book(record, prices.Price(FREE, is_priced=False), is_measured=False, **estimate)
    if booked.row is not None:
        record.cost_usd, record.is_priced, record.price_source, record.occurred_at = booked.row
        alerts.tell(
            record=record, reserved_usd=booked.reserved_usd, counted=booked.counted, now=now
        )


def _book(
    record: UsageRecord, listed: prices.Price, *, is_measured: bool, **estimate: Any
) -> _Booked:
    asked: dict[str, Any] = {
        **windows.lock_keys(record.organization_id),
        "id": record.pk,
        "now": record.created_at,
        "organization_id": record.organization_id,
        "agent_id": record.agent_id,
        "task_id": record.task_id,
        "execution_id": record.execution_id,
        "user_id": record.user_id,
        "ordinal": record.ordinal,
        "provider": record.provider,
        "model": record.model,
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "cache_read_tokens": record.cache_read_tokens,
        "cache_write_tokens": record.cache_write_tokens,
        "list_usd": listed.cost_usd,
        "is_listed": listed.is_priced,
        "is_measured": is_measured,
        "price_source": listed.source,
        "own_source": OWN_SOURCE,
        "other_source": UNMEASURED_SOURCE,
        "is_estimate": False,
        "kept_ordinal": record.ordinal,
        **estimate,
    }
    with connection.cursor() as cursor:
        cursor.execute(_BOOK, asked)
        rows = cursor.fetchall()
    row = rows[0][:4] if rows[0][0] is not None else None
    return _Booked(row, rows[0][4], [Counted(*found[5:]) for found in rows if found[5] is not None])
