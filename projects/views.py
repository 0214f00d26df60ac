"""Routes of `/api/v1/projects` and `/api/v1/environments`."""

from collections.abc import Mapping
from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from kernel import clock
from kernel.http.viewsets import HubViewSet
from projects import operations, selectors
from projects.errors import (
    EnvironmentNameTaken,
    EnvironmentNotFound,
    ProjectArchived,
    ProjectNameTaken,
    ProjectNotFound,
)
from projects.filters import EnvironmentFilter, ProjectFilter
from projects.models import Environment, Project
from projects.serializers import (
    EnvironmentInput,
    EnvironmentOutput,
    ProjectInput,
    ProjectOutput,
    ProjectStatusInput,
)


class ProjectViewSet(HubViewSet):
    """What the organization works on."""

    noun = "project"
    queryset = Project.objects.none()
    http_method_names = ["get", "post", "put"]
    permissions: ClassVar = {
        "list": "tenancy.read",
        "create": "tenancy.edit",
        "retrieve": "tenancy.read",
        "set_status": "tenancy.edit",
        "environments": "tenancy.read",
    }
    filterset_class = ProjectFilter
    missing = ProjectNotFound
    refusals: ClassVar = {"create": (ProjectNameTaken,)}

    def find_subject(self, subject_id: UUID) -> Project:
        """One project."""
        return selectors.get_project(organization_id=self.organization_id, project_id=subject_id)

    def permission_scope(self, subject: Project | None, body: Any) -> Mapping[str, str]:
        """A role may be given for one project."""
        return {"project_id": str(subject.pk)} if subject else {}

    @extend_schema(responses={200: ProjectOutput(many=True)})
    def list(self, request: Request) -> Response:
        """Projects, newest first."""
        return self.page(
            selectors.list_projects(organization_id=self.organization_id), ProjectOutput
        )

    @extend_schema(request=ProjectInput, responses={201: ProjectOutput})
    def create(self, request: Request) -> Response:
        """Make a project."""
        project = operations.create_project(
            organization_id=self.organization_id,
            **self.read(ProjectInput),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(ProjectOutput(project).data, status=201)

    @extend_schema(responses={200: ProjectOutput})
    def retrieve(self, request: Request, pk: str) -> Response:
        """One project."""
        return Response(ProjectOutput(self.subject).data)

    @extend_schema(request=ProjectStatusInput, responses={204: None})
    @action(detail=True, methods=["put"], url_path="status")
    def set_status(self, request: Request, pk: str) -> Response:
        """Archive a project, or take it up again."""
        operations.set_status(
            organization_id=self.organization_id,
            project_id=self.subject.pk,
            **self.read(ProjectStatusInput),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(status=204)

    @extend_schema(responses={200: EnvironmentOutput(many=True)})
    @action(detail=True, filterset_class=None)
    def environments(self, request: Request, pk: str) -> Response:
        """The project's environments, newest first."""
        rows = selectors.list_environments(
            organization_id=self.organization_id, project_id=self.subject.pk
        )
        return self.page(rows, EnvironmentOutput)


class EnvironmentViewSet(HubViewSet):
    """Where projects run."""

    noun = "environment"
    queryset = Environment.objects.none()
    http_method_names = ["get", "post", "delete"]
    permissions: ClassVar = {
        "list": "tenancy.read",
        "create": "tenancy.edit",
        "destroy": "tenancy.edit",
    }
    filterset_class = EnvironmentFilter
    missing = EnvironmentNotFound
    refusals: ClassVar = {"create": (ProjectNotFound, ProjectArchived, EnvironmentNameTaken)}

    def find_subject(self, subject_id: UUID) -> Environment:
        """One environment."""
        return selectors.get_environment(
            organization_id=self.organization_id, environment_id=subject_id
        )

    def permission_scope(self, subject: Environment | None, body: Any) -> Mapping[str, str]:
        """A role may be given for one project, or one environment of it."""
        if subject is not None:
            return {"project_id": str(subject.project_id), "environment": subject.name}
        found = body.get("project_id") if isinstance(body, Mapping) else None
        return {"project_id": found.lower()} if isinstance(found, str) else {}

    @extend_schema(responses={200: EnvironmentOutput(many=True)})
    def list(self, request: Request) -> Response:
        """Environments, newest first."""
        return self.page(
            selectors.list_environments(organization_id=self.organization_id), EnvironmentOutput
        )

    @extend_schema(request=EnvironmentInput, responses={201: EnvironmentOutput})
    def create(self, request: Request) -> Response:
        """Add an environment to a project."""
        environment = operations.create_environment(
            organization_id=self.organization_id,
            **self.read(EnvironmentInput),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(EnvironmentOutput(environment).data, status=201)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Remove an environment for good."""
        operations.delete_environment(
            organization_id=self.organization_id,
            environment_id=self.subject.pk,
            actor=self.actor,
            now=clock.now(),
        )
        return Response(status=204)
