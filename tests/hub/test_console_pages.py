"""Every page of the console: it opens, to whom it opens, what it costs, what it never shows."""

import pytest
from django.contrib.admin import site
from django.db import connection
from django.db.models import Model
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import AgentKey, ApiKey, Organization, Role, RoleAssignment, Session, User
from agents.models import Agent, AgentExecution, AgentOverride
from approvals.models import Approval, ApprovalRule
from audit.models import AuditCheckpoint, AuditEvent
from breakers.models import CircuitBreaker
from cost.models import Budget, ModelPrice, UsageRecord
from dead_letters.models import DeadLetter
from events.models import OutboxEvent
from kernel import permissions
from kernel.admin import ConsoleAdmin
from knowledge.models import KnowledgeEntry
from limits.models import LimitRule
from memory.models import Memory
from projects.models import Environment, Project
from secrets_vault.models import Secret
from tasks.models import Task
from tests.accounts import factories
from tests.events.factories import publish
from tests.hub import console_rows
from tests.hub.console_rows import PAGES, address, list_address, page_of, row_of
from tools.models import CatalogTool, ToolSource

ATTACK = "<script>alert(1)</script><img src=x onerror=alert(2)>"
FOR_ADMINISTRATORS = (
    *(CircuitBreaker, LimitRule, DeadLetter, ToolSource, Secret),
    *(Organization, User, Session, ApiKey, AgentKey),
)
every_page = pytest.mark.parametrize("model", PAGES, ids=lambda model: model._meta.model_name)
# Queries of a list with rows: the cookie, whose it is, the rows, and one per filter that offers the
# values it sees.
LIST_QUERIES = {
    Organization: 3,
    User: 3,
    Role: 3,
    RoleAssignment: 3,
    Session: 3,
    ApiKey: 3,
    AgentKey: 3,
    Agent: 4,
    AgentOverride: 4,  # also the agents of their names
    AgentExecution: 4,  # also the agents by name
    Task: 3,
    KnowledgeEntry: 4,
    Memory: 3,
    Project: 3,
    Environment: 3,
    CircuitBreaker: 3,
    LimitRule: 4,  # also what runs
    ToolSource: 3,
    CatalogTool: 4,
    Secret: 3,
    Approval: 5,  # also what agents and tasks are called
    ApprovalRule: 3,
    DeadLetter: 3,
    UsageRecord: 4,
    Budget: 6,  # also how they stand, the days, and whose they are
    ModelPrice: 3,
    AuditEvent: 6,  # also what its resources are called
    AuditCheckpoint: 3,
    OutboxEvent: 4,
}
CHANGES = ("add", "<pk>/delete", "<pk>/change")


@pytest.fixture
def console(client: Client, admin: User) -> Client:
    """An administrator's browser."""
    client.force_login(admin)
    return client


def test_every_registered_page_is_tested() -> None:
    assert set(site._registry) == set(PAGES)


@every_page
def test_a_page_names_a_permission_that_somebody_holds(model: type[Model]) -> None:
    page = page_of(model)

    assert page.view_permission in permissions.catalogue()
    assert not page.edit_permission or page.edit_permission in permissions.catalogue()


def test_a_page_without_a_permission_opens_for_nobody(admin: User) -> None:
    request = RequestFactory().get("/")
    request.user = admin

    class Nameless(ConsoleAdmin):
        """Forgot to say who may look."""

    page = Nameless(Task, site)

    assert not page.has_view_permission(request)
    assert not page.has_edit_permission(request)


@every_page
def test_a_list_and_its_search_open(console: Client, admin: User, model: type[Model]) -> None:
    console_rows.fill(admin)

    for query in ({}, {"q": "e"}, {"q": str(admin.pk)}, {"q": "%_'\""}, {"p": 3}, {"o": "1.-2"}):
        assert console.get(list_address(model), query).status_code == 200


@pytest.mark.parametrize("rows", [1, 30])
def test_lists_cost_a_fixed_number_of_queries(console: Client, admin: User, rows: int) -> None:
    console_rows.fill(admin)
    for _ in range(rows - 1):
        console_rows.fill(factories.make_user(admin.organization))
    counted = {}

    for model in PAGES:
        with CaptureQueriesContext(connection) as seen:
            page = console.get(list_address(model))
        counted[model] = len(seen)
        assert not [query for query in seen.captured_queries if "COUNT(" in query["sql"]]
        assert "Show all" not in page.content.decode()

    assert counted == LIST_QUERIES


@every_page
def test_a_row_opens(console: Client, admin: User, model: type[Model]) -> None:
    console_rows.fill(admin)

    pk = row_of(model, admin).pk

    answer = console.get(address(model, pk))

    assert answer.status_code == 200
    assert answer["X-Frame-Options"] == "DENY"
    assert console.get(address(model, pk, "history")).status_code == 200


@every_page
def test_nothing_is_added_changed_or_deleted_by_a_form(
    console: Client, admin: User, model: type[Model]
) -> None:
    console_rows.fill(admin)
    pk = str(row_of(model, admin).pk)

    answers = {
        (method, change): getattr(console, method)(
            f"{list_address(model)}{change.replace('<pk>', pk)}/"
        ).status_code
        for method in ("get", "post")
        for change in CHANGES
        if (method, change) != ("get", "<pk>/change")
    }

    for (_, change), status in answers.items():
        assert status == (403 if change == "<pk>/change" else 404)


@every_page
def test_another_organizations_row_does_not_open(
    console: Client, admin: User, stranger: User, model: type[Model]
) -> None:
    console_rows.fill(stranger)
    row = row_of(model, stranger)

    answer = console.get(address(model, row.pk))

    assert answer.status_code == 302
    assert answer["Location"] == reverse("admin:index")
    assert address(model, row.pk) not in console.get(list_address(model)).content.decode()


@every_page
@pytest.mark.parametrize("pk", ["not-an-id", "%00", "0" * 300, "../.."])
def test_an_id_that_is_none_leads_back(console: Client, model: type[Model], pk: str) -> None:
    answer = console.get(f"{list_address(model)}{pk}/change/")

    assert answer.status_code in {302, 404}


@every_page
def test_pages_of_people_and_audit_are_for_administrators(
    client: Client, admin: User, viewer: User, model: type[Model]
) -> None:
    console_rows.fill(admin)
    client.force_login(viewer)
    refused = 403 if model in FOR_ADMINISTRATORS else 200

    assert client.get(list_address(model)).status_code == refused
    assert client.get(address(model, row_of(model, admin).pk)).status_code == refused


@every_page
def test_stored_html_stays_text(console: Client, admin: User, model: type[Model]) -> None:
    admin.full_name = ATTACK
    admin.save()
    console_rows.fill(admin, text=ATTACK)

    shown = console.get(address(model, row_of(model, admin).pk)).content.decode()
    for path in (list_address(model), reverse("admin:index")):
        shown += console.get(path, {"q": ATTACK}).content.decode()

    assert "<script>alert" not in shown
    assert "<img src=x" not in shown


@every_page
@pytest.mark.parametrize("query", ["?organization__name__startswith=O", "?id__gt=0&created_at=x"])
def test_a_filter_that_is_not_offered_is_refused(
    console: Client, admin: User, model: type[Model], query: str
) -> None:
    assert console.get(f"{list_address(model)}{query}").status_code == 400


@pytest.mark.parametrize(
    ("model", "query"),
    [
        (User, "password__startswith=argon2"),
        (AgentKey, "key_hash__startswith=a"),
        (Session, "refresh_jti__startswith=a"),
    ],
)
def test_secrets_are_not_spelled_out_by_filters(
    console: Client, model: type[Model], query: str
) -> None:
    assert console.get(f"{list_address(model)}?{query}").status_code == 400


@every_page
def test_a_nul_in_the_address_is_a_bad_request(console: Client, model: type[Model]) -> None:
    assert console.get(f"{list_address(model)}?status__exact=%00").status_code == 400


def test_secrets_are_on_no_page(console: Client, admin: User) -> None:
    console_rows.fill(admin)
    key, session = row_of(AgentKey, admin), row_of(Session, admin)
    assert isinstance(key, AgentKey)
    assert isinstance(session, Session)
    AgentKey.objects.update(key_hash="0123456789abcdef")

    shown = "".join(
        console.get(address(model, row_of(model, admin).pk)).content.decode()
        for model in FOR_ADMINISTRATORS
    )

    assert "0123456789abcdef" not in shown
    assert session.refresh_jti not in shown
    assert admin.password not in shown


def test_an_event_for_one_person_is_shown_to_nobody_else(
    client: Client, admin: User, viewer: User
) -> None:
    OutboxEvent.objects.create(
        organization_id=admin.organization_id,
        user_id=admin.pk,
        type="notification",
        occurred_at=admin.created_at,
    )

    client.force_login(viewer)
    assert "notification" not in client.get(list_address(OutboxEvent)).content.decode()

    client.force_login(admin)
    assert "notification" in client.get(list_address(OutboxEvent)).content.decode()


def test_events_are_shown_to_those_who_may_read_their_kind(
    client: Client, admin: User, viewer: User
) -> None:
    publish(admin.organization)
    factories.withdraw("task.read")
    client.force_login(viewer)

    page = client.get(list_address(OutboxEvent))

    assert page.status_code == 200
    assert "task.created" not in page.content.decode()
    assert client.get(address(OutboxEvent, OutboxEvent.objects.get().pk)).status_code == 302


@every_page
def test_no_filter_reaches_behind_another_row(
    console: Client, admin: User, model: type[Model]
) -> None:
    """Whoever may see a list must not ask it for what stands behind its links."""
    page = page_of(model)
    names = [field.name for field in model._meta.get_fields() if field.is_relation]
    hidden = ("password__startswith", "password__regex", "organization__name", "email__gt")

    for name in {*names, *page.linked_filters}:
        for behind in hidden:
            answer = console.get(list_address(model), {f"{name}__{behind}": "a"})

            assert answer.status_code == 400, f"{name}__{behind}"
