"""No route shows, changes or reveals anything of another organization: twice.

Once as the hub is, and once with the ORM's filters by organization taken out, so that nothing but
PostgreSQL's row-level security stands in the way.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias
from unittest import mock
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.db import models, transaction
from django.db.models import QuerySet
from django.test import Client

from accounts.models import Organization, User
from kernel import tenancy
from tests.accounts import factories
from tests.accounts.factories import make_token
from tests.contract import world as worlds
from tests.contract.test_authorization import routes
from tests.contract.world import World
from tests.footprint import footprint

Rows: TypeAlias = dict[str, list[dict[str, Any]]]
FILTERS: Final = frozenset({"organization", "organization_id"})
# Rows without which the world is whole, each with its reason.
EMPTY: Final[dict[str, str]] = {}
# Where a body without them is refused before anybody looks (contract 004 C0).
BODIES: Final = {"/agents/": b'{"prompt": "Hello"}'}


def owned() -> list[type[models.Model]]:
    """The models whose rows belong to an organization."""
    return [
        model
        for model in apps.get_models()
        if "organization_id" in {field.attname for field in model._meta.concrete_fields}
    ]


@pytest.fixture
def theirs(db: None) -> World:
    """The organization that is asked for."""
    return worlds.make()


@pytest.fixture
def stranger(db: None) -> User:
    """The administrator of the one that asks."""
    return factories.make_user(factories.make_organization())


@pytest.fixture
def client(stranger: User) -> Client:
    """Their client."""
    token = make_token(stranger)
    return Client(headers={"Authorization": f"Bearer {token}"}, raise_request_exception=False)


@pytest.fixture(params=["as it is", "without the filters"])
def filters(request: Any, theirs: World, client: Client) -> Iterator[None]:
    """The ORM with and without them."""
    if request.param == "as it is":
        yield
        return
    with mock.patch.object(QuerySet, "_filter_or_exclude", unfiltered(QuerySet)):
        yield


def unfiltered(queryset: Any) -> Callable[..., Any]:
    """`_filter_or_exclude` that overlooks the organization."""
    genuine = queryset._filter_or_exclude

    def overlook(self: Any, negate: bool, args: Any, kwargs: dict[str, Any]) -> Any:  # noqa: FBT001 - Django says so
        rest = {name: value for name, value in kwargs.items() if name not in FILTERS}
        return genuine(self, negate, args, rest)

    return overlook


def secrets_of(world: World) -> set[str]:
    """What nobody else may read: the ids of every row, and who it is."""
    return {
        str(row["id"])
        for rows in rows_of(world.organization).values()
        for row in rows
        if isinstance(row.get("id"), UUID)
    } | {str(world.organization.pk), world.admin.email}


def rows_of(organization: Organization) -> Rows:
    return {
        label: [row for row in rows if str(row.get("organization_id")) == str(organization.pk)]
        for label, rows in footprint().items()
    }


def test_the_world_has_a_row_of_every_kind(theirs: World) -> None:
    rows = rows_of(theirs.organization)

    missing = {model._meta.label for model in owned() if not rows.get(model._meta.label)}
    assert missing == set(EMPTY)


def test_no_route_gives_anything_of_theirs(theirs: World, client: Client, filters: None) -> None:
    # Once: whatever a route writes is taken back.
    hidden, before = secrets_of(theirs), rows_of(theirs.organization)

    faults = {
        route: found
        for route in routes()
        if (found := fault(route, theirs, client, hidden, before))
    }

    assert faults == {}


def fault(
    route: tuple[str, str], theirs: World, client: Client, hidden: set[str], before: Rows
) -> str:
    """What is wrong with the answer to a stranger who names `theirs`; empty when nothing is."""
    method, template = route
    path = theirs.path(template)
    with transaction.atomic():
        body = next((sent for start, sent in BODIES.items() if template.startswith(start)), b"{}")
        answer = client.generic(method, path, body, content_type="application/json")
        after = rows_of(theirs.organization)
        transaction.set_rollback(True)
    told = answer.content.decode()
    if shown := [each for each in hidden if each in told and each not in path]:
        return f"{answer.status_code} shows {shown}"
    if after != before:
        return f"{answer.status_code} and changed something"
    if answer.status_code >= 500 or (is_somebodys(template) and answer.status_code != 404):
        return f"{answer.status_code}"
    return ""


def is_somebodys(template: str) -> bool:
    """Whether the path names a row, and not a word that means the same to everybody."""
    return "{}" in template and not template.startswith(("/permissions/", "/api/v1/settings/"))


REFERENCES: Final = [
    ("POST", "/api/v1/tasks", {"title": "Mine", "agent_id": "agents"}),
    ("POST", "/api/v1/user-roles", {"user_id": "users", "role_id": "roles"}),
    ("POST", "/api/v1/environments", {"name": "Mine", "project_id": "projects"}),
]


@pytest.mark.parametrize("request_", REFERENCES, ids=lambda asked: asked[1])
def test_a_body_that_names_their_rows_names_nothing(
    request_: tuple[str, str, dict[str, str]], theirs: World, client: Client, filters: None
) -> None:
    method, path, body = request_
    before = rows_of(theirs.organization)

    def send(named: Callable[[str], str]) -> Any:
        return client.generic(
            method,
            path,
            worlds.encode({k: named(v) if k.endswith("_id") else v for k, v in body.items()}),
            content_type="application/json",
        )

    answer = send(lambda noun: theirs.ids[f"/api/v1/{noun}/{{}}"][0])
    unknown = send(lambda _: str(uuid4()))

    assert answer.status_code == unknown.status_code in {404, 422}
    assert answer.json()["code"] == unknown.json()["code"]
    assert rows_of(theirs.organization) == before


def test_postgresql_shows_no_row_of_theirs(theirs: World, stranger: User) -> None:
    with tenancy.organization(stranger.organization_id):
        seen = {model._meta.label: owners(model) for model in owned()}
    with tenancy.request():
        unscoped = {model._meta.label: owners(model) for model in owned()}

    assert [label for label, ids in seen.items() if ids - {stranger.organization_id}] == []
    assert [label for label, ids in unscoped.items() if ids] == []


def owners(model: type[models.Model]) -> set[UUID | None]:
    """Whose rows a query without any filter gives."""
    return set(model._base_manager.values_list("organization_id", flat=True))
