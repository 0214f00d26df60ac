"""Groups give roles by their names, so a name that groups give is no gift for anybody."""

from typing import Any

import pytest

from accounts.choices import UserRole
from accounts.errors import Escalation
from accounts.models import Role, User
from accounts.operations import roles
from kernel import clock
from tests.accounts.factories import make_actor, make_user
from tests.sso.factories import connect_with_lost_roles

GIVEN: dict[str, Any] = {"group_roles": ["people=Staff"], "default_role": "Guest"}


@pytest.fixture
def steward(admin: User) -> User:
    """Somebody who may edit roles, and not much else."""
    connect_with_lost_roles(admin.organization, "https://login.example.com", **GIVEN)
    user = make_user(admin.organization, role=UserRole.VIEWER)
    role = make_role(admin, "Steward", ["role.edit", "role.read", "task.read"])
    user.assignments.update(role=role)
    return user


def make_role(giver: User, name: str, permissions: list[str]) -> Role:
    return roles.create_role(
        organization_id=giver.organization_id,
        name=name,
        description="",
        permissions=permissions,
        giver=giver,
        actor=make_actor(giver),
        now=clock.now(),
    )


def rename(giver: User, role: Role, name: str) -> Any:
    return roles.update_role(
        organization_id=giver.organization_id,
        role_id=role.pk,
        values={"name": name},
        giver=giver,
        actor=make_actor(giver),
        now=clock.now(),
    )


@pytest.mark.parametrize("name", ["Staff", "staff", "GUEST"])
def test_a_mighty_role_does_not_get_a_name_that_groups_give(
    admin: User, steward: User, name: str
) -> None:
    boss = make_role(admin, "Boss", ["settings.edit"])

    with pytest.raises(Escalation):
        rename(steward, boss, name)
    with pytest.raises(Escalation):
        make_role(steward, name, ["task.read"])

    assert set(Role.objects.filter(is_system=False).values_list("name", flat=True)) == {
        "Boss",
        "Steward",
    }


def test_such_a_name_is_not_taken_from_a_mighty_role(admin: User, steward: User) -> None:
    staff = make_role(admin, "Staff", ["settings.edit"])

    with pytest.raises(Escalation):
        rename(steward, staff, "Nobody")

    assert rename(admin, staff, "Chief").name == "Chief"


def test_who_could_give_it_may_name_it_so(admin: User, steward: User) -> None:
    boss = make_role(admin, "Boss", ["settings.edit"])

    assert rename(admin, boss, "Staff").name == "Staff"


def test_other_names_are_free(admin: User, steward: User) -> None:
    boss = make_role(admin, "Boss", ["settings.edit"])

    assert rename(steward, boss, "Chief").name == "Chief"
