"""What is shown without DRF's fields is what they would show."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from rest_framework import serializers

from accounts.models import ApiKey, Organization, Role, RoleAssignment, Session, User
from accounts.selectors import sessions
from accounts.serializers.auth import UserOutput
from accounts.serializers.people import PersonOutput
from accounts.serializers.roles import RoleOutput, UserRoleOutput
from accounts.serializers.sessions import ApiKeyOutput, SessionOutput
from agents.models import (
    Agent,
    AgentExecution,
    AgentOverrideRevision,
    AgentVersion,
    ExecutionStep,
)
from agents.serializers.agents import AgentOutput, AgentVersionOutput
from agents.serializers.executions import (
    ExecutionDetailOutput,
    ExecutionOutput,
    StepOutput,
)
from agents.serializers.overrides import OverrideRevisionOutput
from audit.models import AuditCheckpoint, AuditEvent
from audit.serializers import AdminEventOutput, CheckpointOutput, EventOutput
from cost.models import ModelPrice
from cost.serializers import PriceOutput
from kernel import clock
from kernel.http import shapes
from kernel.http.json import OrjsonRenderer
from kernel.http.shapes import RowOutput
from knowledge.models import KnowledgeEntry
from knowledge.selectors import list_entries
from knowledge.serializers import EntryItemOutput, EntryOutput
from memory.models import Memory
from memory.serializers import MemoryOutput
from projects.models import Environment, Project
from projects.serializers import EnvironmentOutput, ProjectOutput
from tasks.choices import TaskStatus
from tasks.models import Task
from tasks.serializers import TaskInput, TaskOutput
from tests.clients import ApiClient
from tests.hub import console_rows
from tests.tasks.factories import change, make_task
from tools.models import CatalogTool, ToolSource
from tools.serializers.agenthub import CatalogEntryOutput
from tools.serializers.catalogue import SourceOutput, ToolOutput

Api = Callable[[User | None], ApiClient]
MODELS: dict[type[RowOutput[Any]], Any] = {
    UserOutput: User,
    PersonOutput: User,
    RoleOutput: Role,
    UserRoleOutput: RoleAssignment,
    ApiKeyOutput: ApiKey,
    SessionOutput: Session,
    AgentOutput: Agent,
    AgentVersionOutput: AgentVersion,
    ExecutionOutput: AgentExecution,
    ExecutionDetailOutput: AgentExecution,
    StepOutput: ExecutionStep,
    OverrideRevisionOutput: AgentOverrideRevision,
    TaskOutput: Task,
    EntryOutput: KnowledgeEntry,
    EntryItemOutput: KnowledgeEntry,
    EventOutput: AuditEvent,
    AdminEventOutput: AuditEvent,
    CheckpointOutput: AuditCheckpoint,
    ProjectOutput: Project,
    EnvironmentOutput: Environment,
    MemoryOutput: Memory,
    PriceOutput: ModelPrice,
    SourceOutput: ToolSource,
    ToolOutput: CatalogTool,
    CatalogEntryOutput: CatalogTool,
}
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def outputs(kind: type[Any] = RowOutput) -> Iterator[type[RowOutput[Any]]]:
    for output in kind.__subclasses__():
        yield output
        yield from outputs(output)


def written(shown: Any) -> bytes:
    return OrjsonRenderer().render(shown)


def as_drf_shows(output: RowOutput[Any], rows: list[Any]) -> bytes:
    show = serializers.ModelSerializer.to_representation
    return written([show(output, row) for row in rows])


def prepare(admin: User) -> None:
    """A row of everything, and tasks whose columns are not at their defaults."""
    console_rows.fill(admin)
    make_task(
        admin.organization,
        deadline=NOON + timedelta(days=9999, microseconds=1),
        metadata={"deep": [{"ä": None, "n": 2**60}]},
        required_tools=["calculator"],
    )
    waiting = make_task(admin.organization)
    Task.objects.filter(pk=waiting.pk).update(
        status=TaskStatus.ASSIGNED, retry_count=1, cost_usd=Decimal("1.50000001")
    )


def test_every_output_is_tested() -> None:
    assert set(outputs()) == set(MODELS)


@pytest.mark.parametrize("output", MODELS, ids=lambda output: output.__name__)
def test_instances_are_shown_as_drf_shows_them(admin: User, output: type[RowOutput[Any]]) -> None:
    prepare(admin)
    asked = output(context={"passages": {}, "now": NOON})
    found = MODELS[output].objects.order_by("pk")
    if output is EntryItemOutput:
        found = list_entries(organization_id=admin.organization_id)
    if output is SessionOutput:
        found = sessions.list_shown(
            organization_id=admin.organization_id, current_id=None, now=clock.now()
        )
    rows = list(found)

    assert rows
    assert written([asked.to_representation(row) for row in rows]) == as_drf_shows(asked, rows)


@pytest.mark.parametrize("output", [TaskOutput, ExecutionOutput, AgentVersionOutput])
def test_lists_are_read_as_columns_and_shown_alike(
    admin: User, output: type[RowOutput[Any]]
) -> None:
    prepare(admin)
    found = MODELS[output].objects.order_by("pk")
    listing = shapes.listing(output)

    columns = list(listing.read(found))

    assert not isinstance(columns[0], MODELS[output])
    assert written(listing.show(columns)) == as_drf_shows(output(), list(found))


def test_a_list_with_more_than_columns_is_read_as_instances(admin: User) -> None:
    prepare(admin)
    rows = list(shapes.listing(AgentOutput).read(Agent.objects.order_by("pk")))

    assert {type(row) for row in rows} == {Agent}


def test_an_instant_of_elsewhere_is_shown_in_utc(organization: Organization) -> None:
    task = make_task(organization)
    task.deadline = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert b'"deadline":"2026-05-04T12:00:00Z"' in written(TaskOutput(task).data)


def test_a_value_behind_nothing_is_an_error_in_drfs_words(admin: User) -> None:
    agent = Agent(organization=admin.organization, name="Not registered yet")

    with pytest.raises(AttributeError, match="for field `version` on serializer `AgentOutput`"):
        AgentOutput().to_representation(agent)


def test_instants_survive_a_number_that_only_python_can_write() -> None:
    shown = written({"at": NOON, "number": 2**70})

    assert shown == b'{"at": "2026-05-04T12:00:00Z", "number": 1180591620717411303424}'


def test_one_validator_keeps_nothing_of_the_request_before() -> None:
    first = shapes.check(TaskInput, {"title": "A", "metadata": {"of": "A"}})
    first["metadata"]["changed"] = True
    first["required_tools"].append("changed")

    second = shapes.check(TaskInput, {"title": "B"})

    assert (second["title"], second["metadata"], second["required_tools"]) == ("B", {}, [])


@pytest.mark.parametrize("body", [None, [], "text", {}, {"title": 1.5, "priority": "none"}])
def test_a_refusal_is_drfs_own(body: Any) -> None:
    asked = TaskInput(data=body)
    asked.is_valid()

    with pytest.raises(serializers.ValidationError) as refused:
        shapes.check(TaskInput, body)

    assert (
        refused.value.get_full_details()
        == serializers.ValidationError(asked.errors).get_full_details()
    )


def test_filters_are_used_when_they_are_asked_for(
    api: Api, operator: User, organization: Organization
) -> None:
    change(make_task(organization), status=TaskStatus.CANCELLED)
    make_task(organization)
    client = api(operator)

    def total(**query: Any) -> Any:
        return client.get("/api/v1/tasks", **query).json()["total"]

    assert (total(), total(status_filter="cancelled"), total(limit=1)) == (2, 1, 2)
    assert client.get("/api/v1/tasks", status_filter="none").status_code == 422
