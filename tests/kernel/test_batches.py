"""Many rows in one statement: what goes in comes out, and what does not match stays."""

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import DataError, IntegrityError, transaction
from django.db.models import Value
from django.db.models.expressions import DatabaseDefault

from accounts.models import Organization
from events.models import OutboxEvent
from kernel import batches, clock
from tasks.models import Task
from tests.agents.factories import make_agent

NOW = datetime(2026, 5, 4, 3, 2, 1, 987654, tzinfo=UTC)
ODD = 'tab\there, "quotes", back\\slash, \\N, line\nend, ünïcode, 🦑'


def draft(organization: Organization, **values: Any) -> Task:
    return Task(organization=organization, title="T", available_at=NOW, **values)


def stored(task: Task) -> dict[str, Any]:
    return dict(Task.objects.filter(pk=task.pk).values().get())


def test_inserted_rows_are_as_django_would_have_written_them(organization: Organization) -> None:
    values: dict[str, Any] = {
        "description": ODD,
        "required_tools": ["calculator", ODD, ""],
        "metadata": {"text": ODD, "deep": [{"a": None}, 1.5, True]},
        "cost_usd": Decimal("12.34567891"),
        "actual_duration_seconds": 0.1,
        "deadline": NOW,
        "parent_task": None,
        "agent": make_agent(organization),
        "created_at": NOW,
        "updated_at": NOW,
    }
    ours, djangos = draft(organization, **values), draft(organization, **values)

    batches.insert([ours])
    djangos.save(force_insert=True)

    assert {**stored(ours), "id": None} == {**stored(djangos), "id": None}
    assert (ours._state.adding, ours._state.db) == (False, "default")


def test_nothing_to_insert_or_update_asks_nothing() -> None:
    batches.insert([])

    assert batches.update([], ["title"]) == set()


def test_a_row_that_is_refused_takes_the_whole_batch_along(organization: Organization) -> None:
    good = draft(organization)
    bad = draft(organization, id=good.pk)

    with pytest.raises(IntegrityError), transaction.atomic():
        batches.insert([good, bad])

    assert not Task.objects.exists()


def test_a_value_that_the_database_refuses_is_djangos_error(organization: Organization) -> None:
    with pytest.raises(DataError), transaction.atomic():
        batches.insert([draft(organization, priority="x" * 17)])

    assert not Task.objects.exists()


def test_update_writes_the_named_fields_of_each_row(organization: Organization) -> None:
    tasks = [draft(organization, priority_rank=number) for number in range(3)]
    batches.insert(tasks)
    for number, task in enumerate(tasks):
        task.result = None if number == 1 else f"{ODD} {number}"
        task.metadata = {"number": number, "text": ODD}
        task.required_tools = ["a", ODD][:number]
        task.cost_usd = Decimal(number) / 8
        task.completed_at = NOW if number else None
        task.resumes_execution_id = uuid4() if number else None
        task.priority_rank = 99  # not named, so not written
    names = [
        "result",
        "metadata",
        "required_tools",
        "cost_usd",
        "completed_at",
        "resumes_execution_id",
    ]

    matched = batches.update(tasks, names)

    assert matched == {task.pk for task in tasks}
    for number, task in enumerate(tasks):
        row = stored(task)
        assert {name: row[name] for name in names} == {n: getattr(task, n) for n in names}
        assert row["priority_rank"] == number


def test_update_leaves_rows_that_do_not_match(organization: Organization) -> None:
    held, lost = draft(organization, fencing_token=1), draft(organization, fencing_token=2)
    batches.insert([held, lost])
    lost.fencing_token = 1
    for task in (held, lost):
        task.title = "Written"

    matched = batches.update([held, lost], ["title"], where=["id", "fencing_token"])

    assert matched == {held.pk}
    assert {row.title for row in Task.objects.filter(pk=lost.pk)} == {"T"}


def test_rows_keep_their_order_where_the_database_numbers_them(organization: Organization) -> None:
    rows = [
        OutboxEvent(organization_id=organization.pk, type=f"t{n}", data={}, occurred_at=clock.now())
        for n in range(50)
    ]

    batches.insert(rows)

    types = OutboxEvent.objects.order_by("pk").values_list("type", flat=True)
    assert list(types) == [f"t{n}" for n in range(50)]


def test_a_column_that_nobody_set_gets_the_default_of_the_database(
    organization: Organization,
) -> None:
    task = draft(organization)
    task.error_kind = DatabaseDefault(Value("blue"))  # as Django fills a field with db_default

    batches.insert([task])

    assert stored(task)["error_kind"] == "blue"


def test_what_json_has_no_word_for_is_refused(organization: Organization) -> None:
    with pytest.raises(TypeError):
        batches.insert([draft(organization, metadata={"set": {1, 2}})])

    assert not Task.objects.exists()


def test_inserts_together_are_one_statement_and_none_after_an_exception(
    organization: Organization, django_assert_num_queries: Any
) -> None:
    task = draft(organization)
    event = OutboxEvent(organization_id=organization.pk, type="t", data={}, occurred_at=NOW)

    with django_assert_num_queries(1), batches.together():
        batches.insert([task])
        with batches.together():
            batches.insert([event])
    with suppress(LookupError), batches.together():
        batches.insert([draft(organization)])
        raise LookupError
    batches.insert([draft(organization, priority_rank=9)])

    assert list(Task.objects.order_by("pk").values_list("priority_rank", flat=True)) == [
        task.priority_rank,
        9,
    ]
    assert OutboxEvent.objects.count() == 1


def test_what_is_only_collected_cannot_be_updated(organization: Organization) -> None:
    task = draft(organization)

    with batches.together():
        batches.insert([task])
        with pytest.raises(RuntimeError):
            batches.update([task], ["title"])
