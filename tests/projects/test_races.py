"""Two at once: one name, and a project that is archived meanwhile."""

from collections.abc import Callable

import pytest
from django.db import transaction

from accounts.models import Organization
from kernel import clock
from kernel.actors import SYSTEM
from projects import operations
from projects.errors import EnvironmentNameTaken, ProjectArchived, ProjectNameTaken
from projects.models import Environment, Project
from tests.projects.factories import make_environment, make_project
from tests.threads import Gate, Waiters, race

pytestmark = pytest.mark.django_db(transaction=True)


def outcome(results: list[object]) -> list[type]:
    return sorted((type(result) for result in results), key=lambda kind: kind.__name__)


def test_one_of_two_projects_gets_the_name(organization: Organization) -> None:
    results = race(*[lambda: make_project(organization, name="Atlas")] * 4)

    assert outcome(results) == [Project, *[ProjectNameTaken] * 3]
    assert Project.objects.count() == 1


def test_one_of_two_environments_gets_the_name(organization: Organization) -> None:
    project = make_project(organization)

    results = race(*[lambda: make_environment(project, name="live")] * 4)

    assert outcome(results) == [Environment, *[EnvironmentNameTaken] * 3]
    assert Environment.objects.count() == 1


def test_nothing_is_added_to_a_project_that_is_being_archived(organization: Organization) -> None:
    project, gate = make_project(organization), Gate()

    def archive() -> None:
        with transaction.atomic():
            operations.set_status(
                organization_id=organization.pk,
                project_id=project.pk,
                status="archived",
                actor=SYSTEM,
                now=clock.now(),
            )
            gate()

    def add() -> object:
        gate.wait()
        return make_environment(project)

    def watch() -> None:
        gate.wait()
        Waiters().wait_for(1)
        gate.open()

    contestants: list[Callable[[], object]] = [archive, add, watch]
    results = race(*contestants)

    assert results[0] is None
    assert type(results[1]) is ProjectArchived
    assert not Environment.objects.exists()
