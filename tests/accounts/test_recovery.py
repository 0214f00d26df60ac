"""Administrators help people back in: password, lock, second factor."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from uuid import uuid4

import pytest
from django.test import Client

from accounts.choices import UserRole
from accounts.models import Role, RoleAssignment, Session, User
from accounts.operations import recovery
from audit.models import AuditEvent
from kernel import clock
from kernel.actors import SYSTEM
from tests.accounts.factories import (
    PASSWORD,
    enrol,
    log_in,
    make_key,
    make_user,
    set_policy,
)
from tests.clients import ApiClient
from tests.footprint import footprint

pytestmark = pytest.mark.django_db(transaction=True)
USERS: Final = "/api/v1/admin/users"
LOGIN: Final = "/api/v1/auth/login"
NEW: Final = "Another-Horse-7-Battery"
ROUTES: Final = ["reset-password", "reset-mfa", "unlock"]
Api = Callable[[User | None], ApiClient]


def path(user: User, route: str) -> str:
    return f"{USERS}/{user.pk}/{route}"


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def bearer(token: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {token}"}, raise_request_exception=False)


def test_a_forgotten_password_is_replaced_by_one_that_must_be_changed(
    api: Api, admin: User, viewer: User
) -> None:
    old = api(viewer).known()
    User.objects.filter(pk=viewer.pk).update(
        failed_logins=5, locked_until=clock.now() + timedelta(minutes=9)
    )

    answer = api(admin).post(path(viewer, "reset-password"))

    password = answer.json()["password"]
    assert (answer.status_code, answer.json()["must_change"]) == (200, True)
    assert old.get("/api/v1/auth/me").status_code == 401
    assert ApiClient().post(LOGIN, {"email": viewer.email, "password": PASSWORD}).status_code == 401
    opened = ApiClient().post(LOGIN, {"email": viewer.email, "password": password}).json()
    assert opened["password_expired"] is True
    client = bearer(opened["token"])
    kept_out = client.get("/api/v1/tasks")
    assert refused(kept_out) == (403, "auth.password_expired")
    assert kept_out.json()["detail"].startswith("An administrator gave you this password.")
    body = {"current_password": password, "new_password": NEW}
    changed = client.post("/api/v1/auth/change-password", body, "application/json")
    assert changed.status_code == 200
    assert client.get("/api/v1/tasks").status_code == 200
    viewer.refresh_from_db()
    assert "password_expired" not in log_in_with(viewer, NEW)
    event = AuditEvent.objects.get(action="user.reset_password")
    assert (event.resource_id, event.details) == (str(viewer.pk), {"made_up": True})
    assert event.actor_id == str(admin.pk)


def log_in_with(user: User, password: str) -> Any:
    answer = ApiClient().post(LOGIN, {"email": user.email, "password": password})
    assert answer.status_code == 200
    return answer.json()


def test_the_password_may_be_sent(api: Api, admin: User, viewer: User) -> None:
    answer = api(admin).post(path(viewer, "reset-password"), {"password": NEW})

    assert (answer.status_code, answer.json()) == (200, {"password": None, "must_change": True})
    assert log_in_with(viewer, NEW)["password_expired"] is True


@pytest.mark.parametrize(
    "body", [{"password": "short"}, {"password": PASSWORD}, {"new_password": NEW}]
)
def test_a_bad_password_is_422_and_nothing_is_written(
    api: Api, admin: User, viewer: User, body: dict[str, str]
) -> None:
    client = api(admin)
    before = footprint()

    answer = client.post(path(viewer, "reset-password"), body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == next(iter(body))
    assert footprint() == before


def test_it_is_shown_once(api: Api, admin: User, viewer: User) -> None:
    client, key = api(admin), {"Idempotency-Key": str(uuid4())}

    first = client.post(path(viewer, "reset-password"), {}, headers=key)
    again = client.post(path(viewer, "reset-password"), {}, headers=key)

    assert first.status_code == 200
    assert refused(again) == (409, "idempotency.not_replayable")


def test_a_lost_second_factor_is_taken_away(api: Api, admin: User, viewer: User) -> None:
    enrol(viewer)
    session = Session.objects.get(pk=_session(viewer))

    answer = api(admin).post(path(viewer, "reset-mfa"))

    session.refresh_from_db()
    viewer.refresh_from_db()
    assert answer.status_code == 204
    assert (viewer.mfa_enabled_at, session.revoked_at is None) == (None, False)
    assert log_in(viewer).restriction == ""
    assert AuditEvent.objects.get(action="user.reset_mfa").resource_id == str(viewer.pk)
    again = api(admin).post(path(viewer, "reset-mfa"))
    assert refused(again) == (409, "auth.mfa_not_enabled")


def _session(user: User) -> str:
    items = ApiClient(user).get("/api/v1/auth/sessions").json()["items"]
    return str(items[0]["id"])


def test_a_lock_is_lifted(api: Api, admin: User, viewer: User) -> None:
    until = clock.now() + timedelta(minutes=30)
    User.objects.filter(pk=viewer.pk).update(
        failed_logins=5, locked_until=until, failed_confirmations=5, confirm_locked_until=until
    )

    answer = api(admin).post(path(viewer, "unlock"))

    viewer.refresh_from_db()
    assert answer.status_code == 204
    assert (viewer.locked_until, viewer.confirm_locked_until) == (None, None)
    assert (viewer.failed_logins, viewer.failed_confirmations) == (0, 0)
    assert AuditEvent.objects.filter(action="user.unlock", resource_id=str(viewer.pk)).exists()


@pytest.mark.parametrize("route", ROUTES)
def test_nobody_does_it_for_themselves(api: Api, admin: User, route: str) -> None:
    enrol(admin)
    client = api(admin)
    before = footprint()

    assert refused(client.post(path(admin, route))) == (403, "user.own_account")
    assert footprint() == before


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("scope", [{}, {"environment": "prod"}])
def test_nobody_does_it_for_people_who_may_do_more(
    api: Api, admin: User, operator: User, route: str, scope: dict[str, str]
) -> None:
    helps = Role.objects.create(
        organization=admin.organization, name="helps", permissions=["user_role.edit"]
    )
    more = Role.objects.create(
        organization=admin.organization, name="more", permissions=["user_role.edit", "task.edit"]
    )
    operator.assignments.all().delete()
    target = make_user(admin.organization, role=UserRole.VIEWER)
    enrol(target)
    target.assignments.update(role=more, scope=scope)
    RoleAssignment.objects.create(
        organization=admin.organization, user=operator, role=helps, scope={}
    )
    User.objects.filter(pk=target.pk).update(is_active=False)  # whoever enables them lets them in
    client = api(operator)
    before = footprint()

    answer = client.post(path(target, route))

    assert refused(answer) == (403, "role.escalation")
    assert answer.json()["permissions"] == ["task.edit"]
    assert footprint() == before
    target.assignments.update(role=helps)
    assert client.post(path(target, route)).status_code in {200, 204}


@pytest.fixture
def helper(admin: User) -> User:
    """Somebody who may edit people and roles, and little else."""
    role = Role.objects.create(
        organization=admin.organization,
        name="helps",
        permissions=["role.edit", "role.read", "user_role.edit"],
    )
    user = make_user(admin.organization, role=UserRole.VIEWER)
    user.assignments.update(role=role)
    user.__dict__.pop("rights", None)
    return user


@pytest.mark.parametrize("change", [{"role": "helps"}, {"role": "viewer"}, {"is_active": False}])
def test_nobody_makes_somebody_smaller_who_may_do_more(
    api: Api, admin: User, helper: User, change: dict[str, Any]
) -> None:
    client, victim = api(helper), make_user(admin.organization)
    before = footprint()

    answer = client.patch(f"{USERS}/{victim.pk}", {"full_name": "New", **change})

    assert refused(answer) == (403, "role.escalation")
    assert "settings.edit" in answer.json()["permissions"]
    assert footprint() == before


def test_nobody_enables_somebody_who_may_do_more(api: Api, admin: User, helper: User) -> None:
    victim = make_user(admin.organization)
    User.objects.filter(pk=victim.pk).update(is_active=False)
    client = api(helper)
    before = footprint()

    answer = client.patch(f"{USERS}/{victim.pk}", {"is_active": True})

    assert refused(answer) == (403, "role.escalation")
    assert footprint() == before


def test_what_stays_as_it_is_and_the_name_need_nothing(api: Api, admin: User, helper: User) -> None:
    change = {"full_name": "New", "role": "admin", "is_active": True}

    answer = api(helper).patch(f"{USERS}/{admin.pk}", change)

    assert (answer.status_code, answer.json()["full_name"]) == (200, "New")


def test_nobody_takes_from_people_what_they_do_not_hold(
    api: Api, admin: User, helper: User
) -> None:
    victim = make_user(admin.organization, role=UserRole.VIEWER)
    more = Role.objects.create(
        organization=admin.organization, name="more", permissions=["role.read", "settings.edit"]
    )
    given = victim.assignments.get()
    victim.assignments.update(role=more)
    client, role = api(helper), f"/api/v1/roles/{more.pk}"
    before = footprint()

    answers = [
        client.delete(f"/api/v1/user-roles/{given.pk}"),
        client.delete(role),
        client.patch(role, {"permissions": ["role.read"]}),
        client.put(f"{role}/permissions", {"permissions": []}),
    ]

    assert {refused(answer) for answer in answers} == {(403, "role.escalation")}
    assert {answer.json()["detail"] for answer in answers} == {
        "You cannot take permissions that you do not hold. Ask somebody who does."
    }
    assert [answer.json()["permissions"] for answer in answers[1:]] == [["settings.edit"]] * 3
    assert footprint() == before
    assert client.patch(role, {"permissions": ["settings.edit"]}).status_code == 200
    assert client.patch(role, {"permissions": ["role.read"], "name": "x"}).status_code == 403


def test_for_a_scope_only_what_is_held_there_is_taken(api: Api, admin: User, helper: User) -> None:
    victim = make_user(admin.organization, role=UserRole.VIEWER)
    role = Role.objects.create(
        organization=admin.organization, name="staff", permissions=["task.edit", "user_role.edit"]
    )
    RoleAssignment.objects.create(
        organization=admin.organization, user=helper, role=role, scope={"environment": "dev"}
    )
    dev, prod = (
        RoleAssignment.objects.create(
            organization=admin.organization, user=victim, role=role, scope={"environment": name}
        )
        for name in ("dev", "prod")
    )
    client = api(helper)

    answers = [client.delete(f"/api/v1/user-roles/{given.pk}") for given in (prod, dev)]

    assert refused(answers[0]) == (403, "role.escalation")
    assert answers[1].status_code == 204


@pytest.mark.parametrize("route", ROUTES)
def test_no_api_key_does_it(admin: User, viewer: User, route: str) -> None:
    client = bearer(make_key(admin, "write"))

    answer = client.post(path(viewer, route), {}, "application/json")

    assert refused(answer) == (403, "permission.denied")
    assert answer.json()["detail"] == "An API key cannot do this. Log in."


@pytest.mark.parametrize("route", ROUTES)
def test_it_asks_for_a_fresh_factor(api: Api, admin: User, viewer: User, route: str) -> None:
    set_policy(admin.organization, step_up_required=True)

    answer = api(admin).post(path(viewer, route))

    assert refused(answer) == (412, "auth.mfa_enrollment_required")


def test_whom_an_identity_provider_lets_in_gets_no_password(
    api: Api, admin: User, viewer: User
) -> None:
    viewer.set_unusable_password()
    viewer.save()

    answer = api(admin).post(path(viewer, "reset-password"))

    assert refused(answer) == (409, "user.no_password")


def test_the_operator_of_the_machine_may_do_it_for_anybody(admin: User) -> None:
    made = recovery.reset_password(
        organization_id=admin.organization_id,
        user_id=admin.pk,
        giver=None,
        actor=SYSTEM,
        now=clock.now(),
    )

    admin.refresh_from_db()
    assert admin.check_password(made)
