"""Booking what was used: the ledger's row, what its budgets count, what was reserved for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from cost.choices import ESTIMATED_SOURCE, FREE, OWN_SOURCE, UNMEASURED_SOURCE
from cost.models import Reservation, UsageRecord
from cost.operations import alerts, windows
from cost.operations.alerts import Counted
from cost.selectors import prices
from kernel import ids


def book_sql(*, execution_id: str = "%(execution_id)s", is_alone: bool = False) -> str:
    """The call of the database's function for the parameters of a `Booking`, to select from.

    A caller's statement may join it to a row that it locks, by an `execution_id` from there: what
    it selects from nothing books nothing. `is_alone` for a statement that is a transaction of its
    own: without a row more follows from the call, and nothing was booked.
    """
    function = "cost_book_alone_1" if is_alone else "cost_book_1"
    return f"""{function}(%(lock_space)s, %(lock_key)s, %(id)s, %(organization_id)s, %(agent_id)s,
  %(task_id)s, {execution_id}, %(user_id)s, %(ordinal)s, %(kept_ordinal)s, %(provider)s,
  %(model)s, %(input_tokens)s, %(output_tokens)s, %(cache_read_tokens)s, %(cache_write_tokens)s,
  %(list_usd)s, %(is_listed)s, %(is_measured)s, %(is_estimate)s, %(price_source)s, %(own_source)s,
  %(other_source)s, %(now)s)"""


_BOOK: Final = f"SELECT * FROM {book_sql()}"  # noqa: S608 - made of constants
_BOOK_ALONE: Final = f"SELECT * FROM {book_sql(is_alone=True)}"  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class Booking:
    """A call about to be booked: the parameters of `book_sql`, and what its rows mean."""

    record: UsageRecord
    parameters: dict[str, Any]

    def finish(self, rows: Sequence[tuple[Any, ...]]) -> UsageRecord:
        """The ledger's row, once the statement gave `rows`, in the same transaction.

        Budgets are told of here. For a call that was booked before, it is the row that was there.
        """
        record, row = self.record, rows[0][:4]
        if row[0] is None:
            return UsageRecord.objects.get(
                organization_id=record.organization_id,
                execution_id=record.execution_id,
                ordinal=record.ordinal,
            )
        record.cost_usd, record.is_priced, record.price_source, record.occurred_at = row
        record._state.adding, record._state.db = False, connection.alias
        counted = [Counted(*found[5:]) for found in rows if found[5] is not None]
        now = self.parameters["now"]
        alerts.tell(record=record, reserved_usd=rows[0][4], counted=counted, now=now)
        return record


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
    """Book one model call in one message to the database: in the caller's transaction, if it has
    one, else with the message's own, unless a budget has to be told of.

    `model` is what was asked for, as it was reserved; `answered_by` is the name in the answer. It
    counts only where the list has a higher price for it, or the only one: aliases are common.
    `ordinal` numbers the calls of an execution. Booking the same call again changes nothing and
    gives the row that is there. What was reserved for it is given back, and the windows of its
    budgets count what it cost. The windows stay locked to the transaction's end: book late in it.
    """
    booking = prepare(
        organization_id=organization_id,
        provider=provider,
        model=model,
        answered_by=answered_by,
        usage=usage,
        execution_id=execution_id,
        ordinal=ordinal,
        agent_id=agent_id,
        task_id=task_id,
        user_id=user_id,
        now=now,
    )
    if rows := run_alone(_BOOK_ALONE, booking.parameters):
        return booking.finish(rows)
    # Joins the caller's: a savepoint would be two more messages on the path of every call.
    with transaction.atomic(savepoint=False):
        return booking.finish(_run(booking))


def run_alone(statement: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of a statement with `book_sql(is_alone=True)`, whose message is its transaction.

    No rows if nothing was booked: more follows from the call, or the caller is in a transaction.
    Then it books in one, with what follows.
    """
    if connection.in_atomic_block:
        return []
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def prepare(
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
) -> Booking:
    """What `record_usage` books, for a caller whose own statement does (`book_sql`)."""
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
    is_measured = not usage.unmeasured_requests
    return _booking(record, listed, is_measured=is_measured, kept_ordinal=ordinal)


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
    booking = _booking(
        record,
        prices.Price(FREE, is_priced=False),
        is_measured=False,
        is_estimate=True,
        kept_ordinal=held.ordinal if may_be_answered else None,
        other_source=ESTIMATED_SOURCE,
    )
    rows = _run(booking)
    if rows[0][0] is not None:  # else nothing was held, and nothing counts
        booking.finish(rows)


def _booking(
    record: UsageRecord,
    listed: prices.Price,
    *,
    is_measured: bool,
    is_estimate: bool = False,
    kept_ordinal: int | None,
    other_source: str = UNMEASURED_SOURCE,
) -> Booking:
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
        "other_source": other_source,
        "is_estimate": is_estimate,
        "kept_ordinal": kept_ordinal,
    }
    return Booking(record, asked)


def _run(booking: Booking) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(_BOOK, booking.parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
