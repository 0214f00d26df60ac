"""Changes of rights at the same time: the second one sees what the first one did."""

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from accounts.errors import AlreadyGranted, Escalation, LastHolder
from accounts.models import Organization, Role, RoleAssignment, User
from accounts.operations import grants, guards, people, roles
from accounts.selectors import rights
from kernel import clock, tenancy
from tests.accounts.factories import make_actor, make_organization, make_user
from tests.threads import Gate, Waiters, race

pytestmark = pytest.mark.django_db(transaction=True)
STEERING = ["role.edit", "user_role.edit"]


def withdraw(user: User) -> None:
    grants.withdraw_role(
        organization_id=user.organization_id,
        assignment_id=user.assignments.get().pk,
        giver=user,
        actor=make_actor(user),
        now=clock.now(),
    )


def change(user: User, **values: Any) -> None:
    people.update_user(
        organization_id=user.organization_id,
        user_id=user.pk,
        values=values,
        # Nobody disables themselves.
        giver=None if "is_active" in values else user,
        actor=make_actor(user),
        now=clock.now(),
    )


def empty_role(user: User) -> None:
    roles.update_role(
        organization_id=user.organization_id,
        role_id=user.assignments.get().role_id,
        values={"permissions": []},
        giver=user,
        actor=make_actor(user),
        now=clock.now(),
    )


def delete_role(user: User) -> None:
    roles.delete_role(
        organization_id=user.organization_id,
        role_id=user.assignments.get().role_id,
        giver=user,
        actor=make_actor(user),
        now=clock.now(),
    )


def make_steerer(organization: Organization) -> User:
    """Somebody who may steer, by a role of their own."""
    user = make_user(organization)
    Role.objects.get_or_create(organization=organization, name="nothing")
    role = Role.objects.create(
        organization=organization, name=f"steers {user.pk}", permissions=STEERING
    )
    user.assignments.update(role=role)
    user.__dict__.pop("rights", None)
    return user


def grant(giver: User, user: User, role: Role) -> None:
    grants.grant_role(
        organization_id=giver.organization_id,
        user_id=user.pk,
        role_id=role.pk,
        scope={},
        giver=giver,
        actor=make_actor(giver),
        now=clock.now(),
    )


def steered(organization: Organization) -> frozenset[str]:
    return rights.steerers(organization_id=organization.pk, permissions=guards.STEERING)


def one_after_the_other(
    first: Callable[[], Any], second: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> list[Any]:
    """`first` is held after its change and before its commit until `second` waits for it."""
    gate, ask, held = Gate(), rights.steerers, threading.local()

    def steerers(**asked: Any) -> frozenset[str]:
        held.calls = getattr(held, "calls", 0) + 1
        if held.calls == 2 and threading.current_thread() is holder:
            gate()
        return ask(**asked)

    outcomes: list[Any] = [None, None]

    def run(place: int, act: Callable[[], Any]) -> None:
        with tenancy.platform():
            (outcomes[place],) = race(act)

    monkeypatch.setattr(rights, "steerers", steerers)
    holder: Any = None

    def begin() -> None:
        nonlocal holder
        holder = threading.current_thread()
        first()

    threads = [threading.Thread(target=run, args=(0, begin))]
    threads[0].start()
    gate.wait()
    threads.append(threading.Thread(target=run, args=(1, second)))
    threads[1].start()
    with suppress(AssertionError):  # then nothing held the second one: its outcome tells
        Waiters().wait_for(1)
    gate.open()
    for thread in threads:
        thread.join(30)
    return outcomes


WAYS: list[Callable[[User], None]] = [
    withdraw,
    partial(change, is_active=False),
    partial(change, role="nothing"),
    empty_role,
]


@pytest.mark.parametrize("second", [*WAYS, delete_role])
@pytest.mark.parametrize("first", [*WAYS, delete_role])
def test_of_the_last_two_one_keeps_the_right_to_steer(
    first: Callable[[User], None],
    second: Callable[[User], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    organization = make_organization()
    one, other = make_steerer(organization), make_steerer(organization)

    outcomes = one_after_the_other(partial(first, one), partial(second, other), monkeypatch)

    assert [type(outcome) for outcome in outcomes] == [type(None), LastHolder]
    assert steered(organization) == guards.STEERING


def test_of_many_at_once_one_is_left() -> None:
    organization = make_organization()
    steerers = [make_steerer(organization) for _ in range(5)]

    outcomes = race(*[partial(WAYS[n % 4], user) for n, user in enumerate(steerers)])

    assert [type(o) for o in outcomes].count(LastHolder) == 1
    assert steered(organization) == guards.STEERING


def test_who_loses_a_right_gives_it_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    organization = make_organization()
    make_user(organization)
    giver, viewer = make_steerer(organization), make_user(organization)
    viewer.assignments.all().delete()
    role = giver.assignments.get().role
    assert giver.may("user_role.edit")  # as the request had found

    outcomes = one_after_the_other(
        partial(withdraw, giver), partial(grant, giver, viewer, role), monkeypatch
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), Escalation]
    assert not RoleAssignment.objects.filter(user=viewer).exists()


def test_who_is_disabled_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    organization = make_organization()
    make_user(organization)
    giver, viewer = make_steerer(organization), make_user(organization)
    role = giver.assignments.get().role

    outcomes = one_after_the_other(
        partial(change, giver, is_active=False), partial(grant, giver, viewer, role), monkeypatch
    )

    assert [type(outcome) for outcome in outcomes] == [type(None), Escalation]


def test_a_role_that_grows_meanwhile_is_not_given_by_who_lacks_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    organization = make_organization()
    admin, viewer = make_user(organization), make_user(organization)
    giver = make_steerer(organization)
    role = Role.objects.create(organization=organization, name="grows", permissions=STEERING)
    grow = partial(
        roles.update_role,
        organization_id=organization.pk,
        role_id=role.pk,
        values={"permissions": [*STEERING, "settings.edit"]},
        giver=admin,
        actor=make_actor(admin),
        now=clock.now(),
    )

    outcomes = one_after_the_other(grow, partial(grant, giver, viewer, role), monkeypatch)

    assert isinstance(outcomes[1], Escalation)
    assert outcomes[1].data == {"permissions": ["settings.edit"]}


def test_one_grant_is_given_once() -> None:
    organization = make_organization()
    admin, viewer = make_user(organization), make_user(organization)
    role = Role.objects.get(organization=organization, name="developer")

    outcomes = race(*[partial(grant, admin, viewer, role)] * 3)

    assert sorted(str(type(o).__name__) for o in outcomes) == [
        "AlreadyGranted",
        "AlreadyGranted",
        "NoneType",
    ]
    assert AlreadyGranted.status == 409


def test_a_change_of_rights_holds_up_no_insert() -> None:
    organization = make_organization()

    def insert() -> None:
        with tenancy.platform():
            Role.objects.create(organization=organization, name="meanwhile")

    with guards.changing_rights(organization_id=organization.pk):
        (outcome,) = race(insert)

    assert outcome is None
