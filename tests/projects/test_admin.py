"""The console's pages of projects and environments."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from projects.models import Environment, Project
from tests.hub.console_rows import address, list_address
from tests.projects.factories import make_environment, make_project

SUBMITTED = {"_form_submitted": "on"}


@pytest.fixture
def console(client: Client, operator: User) -> Client:
    """An operator's browser."""
    client.force_login(operator)
    return client


def test_projects_are_made_in_a_dialog(console: Client, organization: Organization) -> None:
    page = reverse("admin:projects_project_create_project")

    console.post(page, {**SUBMITTED, "name": "Atlas"})
    refused = console.post(page, {**SUBMITTED, "name": "atlas"})

    assert Project.objects.get().name == "Atlas"
    assert "A project of this name exists." in refused.content.decode()


def test_a_project_is_archived_and_taken_up_again(
    console: Client, organization: Organization
) -> None:
    project = make_project(organization)
    seen = []

    for button in ("archive_project", "activate_project"):
        console.post(address(Project, project.pk, button), SUBMITTED)
        project.refresh_from_db()
        seen.append(project.status)

    assert seen == ["archived", "active"]


def test_environments_are_added_and_deleted(console: Client, organization: Organization) -> None:
    project = make_project(organization)
    add = address(Project, project.pk, "add_environment")
    console.post(add, {**SUBMITTED, "name": "live", "type": "prod"})
    environment = Environment.objects.get()

    page = console.get(address(Project, project.pk)).content.decode()
    console.post(address(Environment, environment.pk, "delete_environment"), SUBMITTED)

    assert (environment.name, environment.type) == ("live", "prod")
    assert "live" in page
    assert not Environment.objects.exists()


def test_selected_environments_are_deleted(console: Client, organization: Organization) -> None:
    project = make_project(organization)
    gone, kept = make_environment(project), make_environment(project)

    console.post(
        list_address(Environment),
        {"action": "delete_environments", "_selected_action": [str(gone.pk)]},
    )

    assert list(Environment.objects.all()) == [kept]


def test_an_archived_project_offers_no_environment(
    console: Client, organization: Organization
) -> None:
    project = make_project(organization, archived=True)
    add = address(Project, project.pk, "add_environment")

    page = console.get(address(Project, project.pk)).content.decode()
    refused = console.post(add, {**SUBMITTED, "name": "live", "type": "prod"})

    assert add not in page
    assert "The project is archived." in refused.content.decode()
    assert not Environment.objects.exists()


def test_a_viewer_looks_only(client: Client, viewer: User, organization: Organization) -> None:
    project = make_project(organization)
    client.force_login(viewer)

    assert client.get(address(Project, project.pk)).status_code == 200
    assert (
        client.post(address(Project, project.pk, "archive_project"), SUBMITTED).status_code == 403
    )
    assert Project.objects.get().status == "active"
