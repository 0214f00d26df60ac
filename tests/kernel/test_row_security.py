"""The scope of `kernel.tenancy` at PostgreSQL: with each transaction, and for no longer."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, ProgrammingError, connection, transaction

from accounts.models import Organization, User
from agents.models import Agent
from kernel import tenancy
from kernel.loop import Loop
from tests.accounts.factories import make_organization
from tests.agents.factories import make_agent
from tests.threads import Pool

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def mine() -> Organization:
    """An organization with an agent."""
    found = make_organization()
    make_agent(found, name="mine")
    return found


@pytest.fixture
def theirs() -> Organization:
    """Another with another."""
    found = make_organization()
    make_agent(found, name="theirs")
    return found


def names() -> set[str]:
    """Of every agent that is seen, asked without any filter."""
    return set(Agent.objects.values_list("name", flat=True))


def told() -> str:
    """The scope that the server was told."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('hub.scope', true)")
        (found,) = cursor.fetchone()
    return found or ""


@contextmanager
def scope_of(organization: Organization) -> Iterator[None]:
    with tenancy.organization(organization.pk):
        yield


def test_only_the_rows_of_the_scope_are_seen(mine: Organization, theirs: Organization) -> None:
    with scope_of(mine):
        seen = names()
    with scope_of(theirs):
        seen_there = names()

    assert (seen, seen_there, names()) == ({"mine"}, {"theirs"}, {"mine", "theirs"})


def test_without_a_scope_nothing_is_seen(mine: Organization) -> None:
    with tenancy.request():
        seen = (names(), Organization.objects.count(), User.objects.count())

    assert seen == (set(), 0, 0)


@pytest.mark.parametrize("within", [transaction.atomic, nullcontext])
def test_rows_of_others_are_neither_written_changed_nor_deleted(
    mine: Organization, theirs: Organization, within: Callable[[], AbstractContextManager[None]]
) -> None:
    agent = Agent.objects.get(name="theirs")

    with scope_of(mine), within():
        changed = Agent.objects.filter(pk=agent.pk).update(name="stolen")
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM agents_agent WHERE name = 'theirs'")
            deleted = cursor.rowcount
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            Agent.objects.create(organization=theirs, name="planted")
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            Agent.objects.filter(name="mine").update(organization_id=theirs.pk)

    assert (changed, deleted, names()) == (0, 0, {"mine", "theirs"})


def test_the_scope_ends_with_its_transaction(mine: Organization) -> None:
    with transaction.atomic(), scope_of(mine):
        inside = told()
    with tenancy.request():
        after = told()
        with transaction.atomic():
            in_the_next = told()

    assert (inside, after, in_the_next) == (str(mine.pk), "", "")


def test_the_scope_may_change_within_a_transaction(
    mine: Organization, theirs: Organization
) -> None:
    with transaction.atomic():
        with scope_of(mine):
            first = names()
        with scope_of(theirs):
            second = names()
        with tenancy.request():
            third = names()

    assert (first, second, third) == ({"mine"}, {"theirs"}, set())


def test_a_savepoint_that_is_undone_undoes_no_scope(
    mine: Organization, theirs: Organization
) -> None:
    with scope_of(mine), transaction.atomic():
        names()
        with suppress(KeyError), transaction.atomic(), scope_of(theirs):
            names()
            raise KeyError
        after = names()

    assert after == {"mine"}


def test_a_scope_first_told_in_a_savepoint_is_told_again_after_its_end(
    mine: Organization,
) -> None:
    with scope_of(mine), transaction.atomic():
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")
        after = names()

    assert after == {"mine"}


def test_a_failed_statement_says_what_failed(mine: Organization) -> None:
    with scope_of(mine), pytest.raises(ProgrammingError, match="does not exist"):
        Agent.objects.raw("SELECT nothing FROM agents_agent")[0]


def test_results_are_those_of_the_statement(mine: Organization) -> None:
    with scope_of(mine), connection.cursor() as cursor:
        cursor.execute("SELECT name, %s FROM agents_agent", [7])
        rows, columns = cursor.fetchall(), [column.name for column in cursor.description or ()]
        cursor.execute("UPDATE agents_agent SET role = 'x'")
        changed = cursor.rowcount

    assert (rows, columns[0], changed) == ([("mine", 7)], "name", 1)


def test_a_scope_costs_no_statement_of_its_own(mine: Organization) -> None:
    with scope_of(mine), transaction.atomic(), connection.execute_wrapper(counted := Counter()):
        names()
        names()

    assert counted.count == 2


def close() -> None:
    """Django's `connection` is looked up in the thread that closes it."""
    connection.close()


class Counter:
    """Counts what is sent."""

    count = 0

    def __call__(self, execute, sql, params, many, context):  # type: ignore[no-untyped-def]
        self.count += 1
        return execute(sql, params, many, context)


def test_many_parameter_sets_are_refused() -> None:
    with connection.cursor() as cursor, pytest.raises(NotImplementedError):
        cursor.executemany("SELECT %s", [[1], [2]])


def test_a_thread_of_its_own_has_no_scope(mine: Organization) -> None:
    found: list[set[str]] = []

    def look() -> None:
        found.append(names())
        connection.close()

    with scope_of(mine):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join(10)

    assert found == [set()]


def test_the_loops_database_threads_have_the_scope_of_who_asks(
    mine: Organization, theirs: Organization
) -> None:
    loop = Loop()

    async def ask(organization_id: UUID) -> set[str]:
        with tenancy.organization(organization_id):
            return await loop.in_database(names)

    asked = [loop.submit(ask(each.pk)) for each in (mine, theirs) for _ in range(20)]
    found = [each.result(10) for each in asked]
    loop.stop(timeout=1)

    assert found == [{"mine"}] * 20 + [{"theirs"}] * 20


def test_one_connection_serves_many_organizations_in_turn(
    mine: Organization, theirs: Organization
) -> None:
    def look(number: int) -> set[str]:
        with scope_of((mine, theirs)[number % 2]):
            return names()

    with Pool(1) as pool:
        found = list(pool.map(look, range(20)))
        pool.submit(close).result()

    assert found == [{"mine"}, {"theirs"}] * 10


def test_a_request_forgets_whom_it_entered() -> None:
    entered = uuid4()

    with tenancy.request():
        tenancy.enter(entered)
        inside = tenancy.scope()

    assert (inside, tenancy.scope()) == (str(entered), tenancy.PLATFORM)
