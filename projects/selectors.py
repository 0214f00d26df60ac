"""Questions about projects and environments."""

from uuid import UUID

from django.db.models import QuerySet

from projects.errors import EnvironmentNotFound, ProjectNotFound
from projects.models import Environment, Project


def list_projects(*, organization_id: UUID) -> QuerySet[Project]:
    """The organization's projects, newest first."""
    rows = Project.objects.filter(organization_id=organization_id)
    return rows.order_by("-created_at", "-pk")


def get_project(*, organization_id: UUID, project_id: UUID) -> Project:
    """One project; raises ProjectNotFound."""
    project = Project.objects.filter(organization_id=organization_id, pk=project_id).first()
    if project is None:
        raise ProjectNotFound
    return project


def list_environments(
    *, organization_id: UUID, project_id: UUID | None = None
) -> QuerySet[Environment]:
    """The organization's environments, or those of one project, newest first."""
    rows = Environment.objects.filter(organization_id=organization_id)
    if project_id is not None:
        rows = rows.filter(project_id=project_id)
    return rows.order_by("-created_at", "-pk")


def get_environment(*, organization_id: UUID, environment_id: UUID) -> Environment:
    """One environment; raises EnvironmentNotFound."""
    rows = Environment.objects.filter(organization_id=organization_id, pk=environment_id)
    environment = rows.first()
    if environment is None:
        raise EnvironmentNotFound
    return environment


def has_project(organization_id: UUID, project_id: UUID) -> bool:
    """Whether the organization has this project."""
    return list_projects(organization_id=organization_id).filter(pk=project_id).exists()


def has_environment(organization_id: UUID, environment_id: UUID) -> bool:
    """Whether the organization has this environment."""
    return list_environments(organization_id=organization_id).filter(pk=environment_id).exists()
