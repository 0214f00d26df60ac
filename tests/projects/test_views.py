"""`/api/v1/projects` and `/api/v1/environments`."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from accounts.models import Organization, Role, RoleAssignment, User
from audit.models import AuditEvent
from projects.models import Environment, Project
from tests.accounts.factories import withdraw
from tests.clients import ApiClient
from tests.projects.factories import make_environment, make_project

Api = Callable[[User | None], ApiClient]
PROJECTS, ENVIRONMENTS = "/api/v1/projects", "/api/v1/environments"


def audited() -> list[str]:
    rows = AuditEvent.objects.filter(resource_type__in=("project", "environment"))
    return list(rows.order_by("pk").values_list("action", flat=True))


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_project_from_its_beginning_to_its_archive(api: Api, operator: User, slash: str) -> None:
    client, team = api(operator), str(uuid4())

    made = client.post(PROJECTS + slash, {"name": " Atlas ", "owner_team_id": team})
    project = made.json()
    path = f"{PROJECTS}/{project['id']}"
    archived = client.put(f"{path}/status{slash}", {"status": "archived"})

    assert made.status_code == 201
    assert project == {
        "id": project["id"],
        "name": "Atlas",
        "owner_team_id": team,
        "status": "active",
        "created_at": project["created_at"],
        "updated_at": project["created_at"],
    }
    assert (archived.status_code, archived.content) == (204, b"")
    shown = client.get(path + slash).json()
    assert shown["status"] == "archived"
    assert shown["updated_at"] > shown["created_at"]
    assert client.get(PROJECTS + slash).json()["items"] == [shown]
    assert client.put(f"{path}/status", {"status": "archived"}).status_code == 204
    assert audited() == ["project.create", "project.set_status"]


@pytest.mark.parametrize("slash", ["", "/"])
def test_an_environment_from_its_beginning_to_its_end(
    api: Api, operator: User, organization: Organization, slash: str
) -> None:
    client, project = api(operator), make_project(organization)
    body = {"project_id": str(project.pk), "name": "live", "type": "prod"}

    made = client.post(ENVIRONMENTS + slash, body)
    environment = made.json()
    by_project = client.get(f"{PROJECTS}/{project.pk}/environments{slash}").json()
    every = client.get(ENVIRONMENTS + slash).json()
    gone = client.delete(f"{ENVIRONMENTS}/{environment['id']}{slash}")

    assert made.status_code == 201
    assert {name: environment[name] for name in body} == body
    assert by_project["items"] == every["items"] == [environment]
    assert (gone.status_code, gone.content) == (204, b"")
    assert client.delete(f"{ENVIRONMENTS}/{environment['id']}").status_code == 404
    assert client.post(ENVIRONMENTS, body).status_code == 201
    assert audited()[1:] == ["environment.create", "environment.delete", "environment.create"]


def test_a_type_that_is_not_given_is_other(
    api: Api, operator: User, organization: Organization
) -> None:
    project = make_project(organization)

    made = api(operator).post(ENVIRONMENTS, {"project_id": str(project.pk), "name": "x"})

    assert made.json()["type"] == "other"


def test_lists_are_filtered(api: Api, viewer: User, organization: Organization) -> None:
    client = api(viewer)
    one, other = make_project(organization), make_project(organization, archived=True)
    mine = make_environment(one)

    def listed(path: str, **query: Any) -> list[str]:
        return [item["id"] for item in client.get(path, **query).json()["items"]]

    assert listed(PROJECTS) == [str(other.pk), str(one.pk)]
    assert listed(PROJECTS, status="archived") == [str(other.pk)]
    assert listed(ENVIRONMENTS, project_id=one.pk) == [str(mine.pk)]
    assert listed(ENVIRONMENTS, project_id=other.pk) == []
    assert client.get(ENVIRONMENTS, project_id="x").status_code == 422
    assert client.get(PROJECTS, status="x").status_code == 422


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "x" * 256}, {"name": "a\x00"}, [], 1])
def test_a_project_with_bad_values_is_refused(api: Api, operator: User, body: Any) -> None:
    assert api(operator).post(PROJECTS, body).status_code == 422
    assert not Project.objects.exists()


@pytest.mark.parametrize(
    "more",
    [{"name": ""}, {"type": "live"}, {"project_id": "x"}, {"project_id": None}, {"name": None}],
)
def test_an_environment_with_bad_values_is_refused(
    api: Api, operator: User, organization: Organization, more: dict[str, Any]
) -> None:
    body = {"project_id": str(make_project(organization).pk), "name": "x", **more}

    assert api(operator).post(ENVIRONMENTS, body).status_code == 422
    assert api(operator).post(ENVIRONMENTS, []).status_code == 422
    assert not Environment.objects.exists()


def test_names_are_taken_once(
    api: Api, operator: User, stranger: User, organization: Organization
) -> None:
    client, project = api(operator), make_project(organization, name="Atlas")
    body = {"project_id": str(project.pk), "name": "Live"}
    client.post(ENVIRONMENTS, body)

    twin = client.post(PROJECTS, {"name": "ATLAS"})
    second = client.post(ENVIRONMENTS, {**body, "name": "LIVE"})

    assert (twin.status_code, twin.json()["code"]) == (409, "project.name_taken")
    assert (second.status_code, second.json()["code"]) == (409, "environment.name_taken")
    assert api(stranger).post(PROJECTS, {"name": "Atlas"}).status_code == 201
    other = make_project(organization)
    assert client.post(ENVIRONMENTS, {**body, "project_id": str(other.pk)}).status_code == 201
    assert Project.objects.filter(organization=organization).count() == 2


def test_an_archived_project_takes_no_environment(
    api: Api, operator: User, organization: Organization
) -> None:
    client, project = api(operator), make_project(organization)
    kept = make_environment(project)
    client.put(f"{PROJECTS}/{project.pk}/status", {"status": "archived"})
    body = {"project_id": str(project.pk), "name": "x"}

    refused = client.post(ENVIRONMENTS, body)

    assert (refused.status_code, refused.json()["code"]) == (409, "project.archived")
    assert client.delete(f"{ENVIRONMENTS}/{kept.pk}").status_code == 204
    client.put(f"{PROJECTS}/{project.pk}/status", {"status": "active"})
    assert client.post(ENVIRONMENTS, body).status_code == 201


@pytest.mark.parametrize("body", [{}, {"status": "deleted"}, {"status": None}, []])
def test_a_status_that_is_none_is_refused(
    api: Api, operator: User, organization: Organization, body: Any
) -> None:
    project = make_project(organization)

    assert api(operator).put(f"{PROJECTS}/{project.pk}/status", body).status_code == 422
    assert Project.objects.get().status == "active"


def test_another_organizations_rows_are_not_there(
    api: Api, stranger: User, organization: Organization
) -> None:
    client, project = api(stranger), make_project(organization)
    environment = make_environment(project)
    body = {"project_id": str(project.pk), "name": "x"}

    answers = [
        client.get(f"{PROJECTS}/{project.pk}"),
        client.get(f"{PROJECTS}/{project.pk}/environments"),
        client.put(f"{PROJECTS}/{project.pk}/status", {"status": "archived"}),
        client.delete(f"{ENVIRONMENTS}/{environment.pk}"),
        client.post(ENVIRONMENTS, body),
    ]

    assert [answer.status_code for answer in answers] == [404] * 5
    assert client.get(PROJECTS).json()["items"] == client.get(ENVIRONMENTS).json()["items"] == []
    assert client.get(f"{PROJECTS}/x").status_code == 422
    assert (Environment.objects.count(), Project.objects.get().status) == (1, "active")


def test_writing_takes_a_right_and_reading_another(
    api: Api, viewer: User, organization: Organization
) -> None:
    client, project = api(viewer), make_project(organization)
    environment = make_environment(project)
    body = {"project_id": str(project.pk), "name": "x"}

    refused = [
        client.post(PROJECTS, {"name": "x"}),
        client.put(f"{PROJECTS}/{project.pk}/status", {"status": "archived"}),
        client.post(ENVIRONMENTS, body),
        client.delete(f"{ENVIRONMENTS}/{environment.pk}"),
    ]

    assert [answer.status_code for answer in refused] == [403] * 4
    assert client.get(f"{PROJECTS}/{project.pk}").status_code == 200
    withdraw("tenancy.read")
    other = api(viewer)
    for path in (PROJECTS, ENVIRONMENTS, f"{PROJECTS}/{project.pk}"):
        assert other.get(path).status_code == 403


def grant(user: User, scope: dict[str, str]) -> None:
    """The right to edit, for what `scope` names alone."""
    role = Role.objects.create(
        organization=user.organization, name="Editor", permissions=["tenancy.edit"]
    )
    RoleAssignment.objects.create(organization=user.organization, user=user, role=role, scope=scope)


def test_a_role_may_be_given_for_one_project(
    api: Api, viewer: User, organization: Organization
) -> None:
    mine, other = make_project(organization), make_project(organization)
    grant(viewer, {"project_id": str(mine.pk)})
    client = api(viewer)

    def create(project_id: UUID | str) -> int:
        body = {"project_id": str(project_id), "name": "x"}
        return int(client.post(ENVIRONMENTS, body).status_code)

    assert [create(mine.pk), create(other.pk), create(other.pk.hex)] == [201, 403, 403]
    assert client.put(f"{PROJECTS}/{other.pk}/status", {"status": "active"}).status_code == 403
    assert client.put(f"{PROJECTS}/{mine.pk}/status", {"status": "active"}).status_code == 204
    assert client.post(PROJECTS, {"name": "x"}).status_code == 403
    assert client.delete(f"{ENVIRONMENTS}/{make_environment(other).pk}").status_code == 403
