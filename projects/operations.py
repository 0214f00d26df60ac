"""Making and archiving projects, making and deleting environments."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from audit import operations as audit
from kernel.actors import Actor
from projects.choices import EnvironmentType, ProjectStatus
from projects.errors import (
    EnvironmentNameTaken,
    EnvironmentNotFound,
    ProjectArchived,
    ProjectNameTaken,
    ProjectNotFound,
)
from projects.models import Environment, Project


@transaction.atomic
def create_project(
    *,
    organization_id: UUID,
    name: str,
    owner_team_id: UUID | None = None,
    actor: Actor,
    now: datetime,
) -> Project:
    """Make a project. Raises ProjectNameTaken."""
    project = Project(
        organization_id=organization_id,
        name=name,
        owner_team_id=owner_team_id,
        created_at=now,
        updated_at=now,
    )
    try:
        with transaction.atomic():
            project.save(force_insert=True)
    except IntegrityError:
        raise ProjectNameTaken from None
    _record(project, "project.create", actor, now, {"name": name})
    return project


@transaction.atomic
def set_status(
    *, organization_id: UUID, project_id: UUID, status: str, actor: Actor, now: datetime
) -> Project:
    """Archive a project, or take it up again; its own status again changes nothing.

    Raises ProjectNotFound.
    """
    project = _lock(organization_id, project_id)
    if project.status != status:
        changes = {"status": [project.status, status]}
        project.status, project.updated_at = ProjectStatus(status), now
        project.save(update_fields=["status", "updated_at"])
        details = {"name": project.name, "changes": changes}
        _record(project, "project.set_status", actor, now, details)
    return project


@transaction.atomic
def create_environment(
    *,
    organization_id: UUID,
    project_id: UUID,
    name: str,
    type: str = EnvironmentType.OTHER,  # noqa: A002 - the wire's word
    actor: Actor,
    now: datetime,
) -> Environment:
    """Add an environment to a project that is worked on.

    Raises ProjectNotFound, ProjectArchived or EnvironmentNameTaken.
    """
    # Locked, so that no environment is added to a project while it is archived.
    if _lock(organization_id, project_id).is_archived:
        raise ProjectArchived
    environment = Environment(
        organization_id=organization_id,
        project_id=project_id,
        name=name,
        type=type,
        created_at=now,
        updated_at=now,
    )
    try:
        with transaction.atomic():
            environment.save(force_insert=True)
    except IntegrityError:
        raise EnvironmentNameTaken from None
    _record(environment, "environment.create", actor, now, _described(environment))
    return environment


@transaction.atomic
def delete_environment(
    *, organization_id: UUID, environment_id: UUID, actor: Actor, now: datetime
) -> None:
    """Remove an environment for good, from an archived project too. Raises EnvironmentNotFound."""
    rows = Environment.objects.filter(organization_id=organization_id, pk=environment_id)
    environment = rows.select_for_update().first()
    if environment is None:
        raise EnvironmentNotFound
    _record(environment, "environment.delete", actor, now, _described(environment))
    environment.delete()


def _lock(organization_id: UUID, project_id: UUID) -> Project:
    rows = Project.objects.filter(organization_id=organization_id, pk=project_id)
    project = rows.select_for_update().first()
    if project is None:
        raise ProjectNotFound
    return project


def _described(environment: Environment) -> dict[str, Any]:
    return {
        "name": environment.name,
        "type": environment.type,
        "project_id": str(environment.project_id),
    }


def _record(
    row: Project | Environment, action: str, actor: Actor, now: datetime, details: dict[str, Any]
) -> None:
    audit.record(
        actor=actor,
        organization_id=row.organization_id,
        action=action,
        resource_type=type(row).__name__.lower(),
        resource_id=row.pk,
        details=details,
        now=now,
    )
