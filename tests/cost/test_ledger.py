"""Booking calls: whole, once, in the caller's transaction."""

from decimal import Decimal
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from pytest_django.fixtures import DjangoAssertNumQueries

from accounts.models import Organization
from cost.models import UsageRecord
from cost.selectors.prices import PRICE_LIST
from tests.cost import factories
from tests.cost.factories import NOW, Usage
from tests.threads import Pool


def test_a_call_is_booked_with_its_price(organization: Organization) -> None:
    execution_id, agent_id, task_id = uuid4(), uuid4(), uuid4()

    booked = factories.record(
        organization,
        execution_id=execution_id,
        ordinal=2,
        agent_id=agent_id,
        task_id=task_id,
        usage=Usage(1_000_000, 100_000, 400_000, 0),
    )

    row = UsageRecord.objects.get()
    assert row == booked
    assert (row.organization_id, row.execution_id, row.ordinal) == (
        organization.pk,
        execution_id,
        2,
    )
    assert (row.agent_id, row.task_id, row.user_id) == (agent_id, task_id, None)
    assert (row.provider, row.model, row.occurred_at) == ("openai", "gpt-4o", NOW)
    assert (row.input_tokens, row.output_tokens) == (1_000_000, 100_000)
    assert (row.cache_read_tokens, row.cache_write_tokens) == (400_000, 0)
    assert (row.cost_usd, row.is_priced, row.price_source) == (Decimal("3.0"), True, PRICE_LIST)


def test_an_unknown_model_is_booked_and_flagged(organization: Organization) -> None:
    row = factories.record(organization, model="llama3.2")

    assert (row.cost_usd, row.is_priced, row.price_source) == (Decimal(0), False, "")


def test_booking_a_call_again_changes_nothing(organization: Organization) -> None:
    execution_id = uuid4()
    first = factories.record(organization, execution_id=execution_id)

    again = factories.record(organization, execution_id=execution_id, usage=Usage(5, 5))

    assert again.pk == first.pk
    assert again.input_tokens == 1_000_000
    assert UsageRecord.objects.count() == 1


def test_each_call_of_an_execution_is_a_row(organization: Organization) -> None:
    execution_id = uuid4()

    for ordinal in range(3):
        factories.record(organization, execution_id=execution_id, ordinal=ordinal)

    assert UsageRecord.objects.filter(execution_id=execution_id).count() == 3


def test_calls_outside_of_an_execution_are_each_booked(organization: Organization) -> None:
    for _ in range(2):
        factories.record(organization, execution_id=None)

    assert UsageRecord.objects.count() == 2


def test_booking_belongs_to_the_callers_transaction(organization: Organization) -> None:
    with transaction.atomic():
        factories.record(organization)
        transaction.set_rollback(True)

    assert not UsageRecord.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_call_that_two_book_at_once_is_booked_once(organization: Organization) -> None:
    execution_id = uuid4()
    together = Barrier(4)

    def book(_: int) -> UUID:
        together.wait()
        try:
            return factories.record(organization, execution_id=execution_id).pk
        finally:
            connection.close()

    with Pool(4) as pool:
        booked = set(pool.map(book, range(4)))

    assert booked == set(UsageRecord.objects.values_list("pk", flat=True))
    assert len(booked) == 1


def test_a_negative_cost_cannot_be_stored(organization: Organization) -> None:
    row = UsageRecord(
        organization=organization,
        provider="openai",
        model="gpt-4o",
        cost_usd=Decimal("-0.01"),
        occurred_at=NOW,
    )

    with pytest.raises(IntegrityError, match="usage_record_cost_not_negative"):
        row.save()


def test_booking_takes_one_query(
    organization: Organization, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        factories.record(organization)


@pytest.mark.parametrize(
    ("answered_by", "cost"),
    [("azure-gpt4o-prod", "3.5"), ("gpt-4o-mini", "3.5"), ("gpt-4", "36"), ("", "3.5")],
)
def test_a_call_costs_what_was_asked_for_or_more(
    organization: Organization, answered_by: str, cost: str
) -> None:
    booked = factories.record(organization, answered_by=answered_by)

    assert (booked.model, booked.cost_usd, booked.is_priced) == ("gpt-4o", Decimal(cost), True)


def test_a_name_that_only_the_answer_has_is_priced(organization: Organization) -> None:
    booked = factories.record(organization, model="whatever", answered_by="gpt-4o")

    assert (booked.model, booked.cost_usd, booked.is_priced) == ("whatever", Decimal("3.5"), True)
