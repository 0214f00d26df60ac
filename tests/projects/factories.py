"""Projects and environments for tests."""

from itertools import count
from typing import Any

from accounts.models import Organization
from kernel import clock
from kernel.actors import SYSTEM
from projects import operations
from projects.models import Environment, Project

_numbers = count(1)


def make_project(organization: Organization, *, name: str = "", archived: bool = False) -> Project:
    """A project, active unless `archived`."""
    made = operations.create_project(
        organization_id=organization.pk,
        name=name or f"Project {next(_numbers)}",
        actor=SYSTEM,
        now=clock.now(),
    )
    if not archived:
        return made
    return operations.set_status(
        organization_id=organization.pk,
        project_id=made.pk,
        status="archived",
        actor=SYSTEM,
        now=clock.now(),
    )


def make_environment(project: Project, **values: Any) -> Environment:
    """An environment of the project."""
    return operations.create_environment(
        organization_id=project.organization_id,
        project_id=project.pk,
        **{"name": f"env-{next(_numbers)}", **values},
        actor=SYSTEM,
        now=clock.now(),
    )
