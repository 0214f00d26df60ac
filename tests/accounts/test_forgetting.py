"""The watch over operations that change what decides about callers."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from accounts.models import IpRule, Role, RoleAssignment, Session, User
from accounts.operations import callers, grants, profile
from kernel import clock
from tests import forgetting
from tests.accounts.factories import make_actor, make_token

pytestmark = pytest.mark.django_db


def as_operation(write: Callable[[], Any]) -> Callable[[], Any]:
    """`write` called by code that stands in a file of operations."""
    source = "def change(write):\n    write()\n"
    place: dict[str, Any] = {"__name__": "sample.operations"}
    exec(compile(source, "/sample/operations.py", "exec"), place)
    return lambda: place["change"](write)


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda _: Role.objects.update(permissions=[]), "role"),
        (lambda _: Role.objects.filter(name="viewer").delete(), "role"),
        (lambda user: user.assignments.all().delete(), "roleassignment"),
        (lambda user: user.assignments.update(scope={"a": "b"}), "roleassignment"),
        (lambda _: User.objects.update(is_active=False), "user"),
        (lambda user: user.save(), "user"),
        (lambda _: Session.objects.update(revoked_at=clock.now()), "session"),
        (lambda user: type(user.organization).objects.update(is_active=False), "organization"),
        (
            lambda user: RoleAssignment.objects.create(
                organization=user.organization,
                user=user,
                role=Role.objects.earliest("pk"),
                scope={"a": ""},
            ),
            "roleassignment",
        ),
        (
            lambda user: IpRule.objects.create(
                organization=user.organization, cidr="::/0", action="deny", position=0
            ),
            "iprule",
        ),
    ],
)
def test_a_silent_change_is_found(
    viewer: User,
    write: Callable[[User], Any],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_token(viewer)
    with monkeypatch.context() as patched:
        seen = forgetting.watch(patched)

        as_operation(lambda: write(viewer))()

        assert f"sample.operations.change ({told})" in seen.silent()
        as_operation(lambda: callers.forget(organization_id=viewer.organization_id))()
        assert seen.silent() == []
    connection.run_on_commit = []  # what was owed above was meant


def test_what_decides_nothing_need_not_be_told(
    viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = forgetting.watch(monkeypatch)
    make_token(viewer)

    as_operation(lambda: User.objects.update(failed_logins=1))()
    as_operation(lambda: Session.objects.update(last_seen_at=clock.now()))()
    as_operation(lambda: User.objects.filter(email="nobody").update(is_active=False))()
    Role.objects.update(permissions=[])  # not by an operation

    assert seen.silent() == []


def test_what_is_rolled_back_need_not_be_told(
    viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = forgetting.watch(monkeypatch)

    with transaction.atomic():
        as_operation(lambda: Role.objects.update(permissions=[]))()
        transaction.set_rollback(True)

    assert seen.silent() == []


def test_operations_tell(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = forgetting.watch(monkeypatch)
    viewer.assignments.all().delete()

    grants.give_first_role(user=viewer, role="viewer")
    profile.rename_user(user=viewer, full_name="A", actor=make_actor(viewer), now=clock.now())

    assert (len(seen.owed), seen.silent()) == (0, [])
    assert {name for name, _ in seen.owed} == {
        "accounts.operations.grants.give_first_role",
        "accounts.operations.profile.rename_user",
    }
