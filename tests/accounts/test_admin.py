"""Console pages of people, roles and who holds them: what their dialogs do, and for whom."""

from typing import Any, Final

import pytest
from django.test import Client
from django.urls import reverse

from accounts.choices import UserRole
from accounts.models import Role, RoleAssignment, Session, User
from audit.models import AuditEvent
from kernel import clock
from tests.accounts.factories import make_token, make_user
from tests.footprint import footprint
from tests.hub.console_rows import address, list_address

pytestmark = pytest.mark.django_db
SUBMITTED: Final = {"_form_submitted": "on"}


@pytest.fixture
def console(client: Client, admin: User) -> Client:
    """An administrator's browser."""
    client.force_login(admin)
    return client


def button(model: Any, name: str) -> str:
    return reverse(f"admin:accounts_{model._meta.model_name}_{name}")


def submit(client: Client, path: str, **values: Any) -> Any:
    return client.post(path, {**SUBMITTED, **values}, headers={"HX-Request": "true"})


def wrong(answer: Any) -> dict[str, list[str]]:
    """What a dialog that was not left says is wrong."""
    errors: dict[str, list[str]] = answer.context["form"].errors
    return errors


def support(user: User, *keys: str) -> Role:
    return Role.objects.create(
        organization=user.organization, name="support", permissions=list(keys)
    )


# --- people -----------------------------------------------------------------------------------


def test_a_person_is_added(console: Client, admin: User) -> None:
    path = button(User, "create_user")
    shown = console.get(path)

    answer = submit(
        console,
        path,
        email="ada@example.com",
        full_name="Ada",
        password="A long and 1 good phrase",
        role="operator",
    )

    assert list(shown.context["form"].fields) == [
        "email",
        "full_name",
        "password",
        "role",
        "_form_submitted",
    ]
    assert answer["HX-Redirect"] == list_address(User)
    made = User.objects.get(email="ada@example.com")
    assert (made.organization_id, made.role, made.full_name) == (
        admin.organization_id,
        "operator",
        "Ada",
    )
    assert AuditEvent.objects.get(action="user.create").actor_id == str(admin.pk)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": ""}, "email"),
        ({"password": "short"}, "password"),
        ({"role": "nothing"}, "role"),
    ],
)
def test_a_bad_person_stays_in_the_dialog(
    console: Client, change: dict[str, str], field: str
) -> None:
    values = {"email": "a@example.com", "password": "A long and 1 good phrase", "role": "viewer"}
    before = footprint()

    answer = submit(console, button(User, "create_user"), **{**values, **change})

    assert (answer.status_code, list(wrong(answer))) == (200, [field])
    assert footprint() == before


def test_an_address_that_is_taken_is_said_beside_it(console: Client, viewer: User) -> None:
    answer = submit(
        console,
        button(User, "create_user"),
        email=viewer.email,
        password="A long and 1 good phrase",
        role="viewer",
    )

    assert wrong(answer)["email"] == ["Somebody has this e-mail address. Choose another."]


def test_a_person_is_edited(console: Client, viewer: User) -> None:
    path = address(User, viewer.pk, "edit_user")
    shown = console.get(path)

    answer = submit(console, path, full_name="Ada", role="operator")

    viewer.refresh_from_db()
    assert shown.context["form"].initial == {"full_name": "The viewer", "role": "viewer"}
    assert answer["HX-Redirect"] == address(User, viewer.pk)
    assert (viewer.full_name, User.objects.get(pk=viewer.pk).role) == ("Ada", "operator")


def test_a_person_is_disabled_and_enabled(console: Client, viewer: User) -> None:
    make_token(viewer)

    console.post(address(User, viewer.pk, "disable_user"), SUBMITTED)
    assert not User.objects.get(pk=viewer.pk).is_active
    assert Session.objects.get(user=viewer).revoked_at is not None
    console.post(address(User, viewer.pk, "enable_user"), SUBMITTED)

    assert User.objects.get(pk=viewer.pk).is_active


def test_a_second_factor_is_reset(console: Client, viewer: User) -> None:
    make_token(viewer)
    User.objects.filter(pk=viewer.pk).update(mfa_enabled_at=clock.now())

    console.post(address(User, viewer.pk, "reset_mfa"), SUBMITTED)

    assert User.objects.get(pk=viewer.pk).mfa_enabled_at is None
    assert Session.objects.get(user=viewer).revoked_at is not None
    assert AuditEvent.objects.filter(action="user.reset_mfa").exists()


def test_the_last_administrator_is_not_disabled(console: Client, admin: User) -> None:
    answer = console.post(address(User, admin.pk, "disable_user"), SUBMITTED, follow=True)

    assert "Nobody would be left" in answer.content.decode()
    assert User.objects.get(pk=admin.pk).is_active


# --- roles ------------------------------------------------------------------------------------


def test_a_role_is_made_with_a_box_for_each_permission(console: Client, admin: User) -> None:
    path = button(Role, "create_role")
    fields = console.get(path).context["form"].fields
    groups = {field.label: name for name, field in fields.items() if name.startswith("group_")}

    answer = submit(
        console,
        path,
        name="support",
        **{groups["RBAC"]: ["role.read"], groups["Agents"]: ["agent.read", "agent.run"]},
    )

    assert answer["HX-Redirect"] == list_address(Role)
    assert list(groups) == sorted(groups)
    made = Role.objects.get(name="support")
    assert made.permissions == ["agent.read", "agent.run", "role.read"]
    assert made.organization_id == admin.organization_id


def test_a_role_is_edited(console: Client, admin: User) -> None:
    role = support(admin, "agent.read", "role.read")
    path = address(Role, role.pk, "edit_role")
    form = console.get(path).context["form"]
    group = next(n for n, f in form.fields.items() if f.label == "RBAC")

    submit(console, path, name="desk", description="New", **{group: ["role.edit"]})

    role.refresh_from_db()
    assert form.initial["name"] == "support"
    assert form[group].value() == ["agent.read", "role.read"]
    assert (role.name, role.description, role.permissions) == ("desk", "New", ["role.edit"])


def test_a_built_in_role_keeps_its_name(console: Client, admin: User) -> None:
    role = Role.objects.get(organization=admin.organization, name="viewer")

    submit(console, address(Role, role.pk, "edit_role"), name="guest")

    role.refresh_from_db()
    assert (role.name, role.permissions) == ("viewer", [])


def test_a_role_is_deleted(console: Client, admin: User) -> None:
    role = support(admin)
    built_in = Role.objects.get(organization=admin.organization, name="viewer")

    answer: Any = console.post(address(Role, role.pk, "delete_role"), SUBMITTED)
    console.post(address(Role, built_in.pk, "delete_role"), SUBMITTED)

    assert answer.url == list_address(Role)
    assert not Role.objects.filter(pk=role.pk).exists()
    assert Role.objects.filter(pk=built_in.pk).exists()


def test_the_administrators_role_cannot_be_emptied(console: Client, admin: User) -> None:
    role = Role.objects.get(organization=admin.organization, name="admin")

    answer = submit(console, address(Role, role.pk, "edit_role"), description="")

    assert "Nobody would be left" in wrong(answer)["__all__"][0]
    role.refresh_from_db()
    assert "role.edit" in role.permissions


# --- who holds what ---------------------------------------------------------------------------


def test_a_role_is_granted_for_a_scope_and_withdrawn(
    console: Client, admin: User, viewer: User
) -> None:
    role = Role.objects.get(organization=admin.organization, name="developer")

    answer = submit(
        console,
        button(RoleAssignment, "grant_role"),
        email=viewer.email.upper(),
        role=str(role.pk),
        scope=" environment = prod\r\n\r\n",
    )

    assert answer["HX-Redirect"] == list_address(RoleAssignment)
    given = RoleAssignment.objects.get(role=role)
    assert (given.user, given.scope, given.granted_by) == (viewer, {"environment": "prod"}, admin)
    console.post(address(RoleAssignment, given.pk, "withdraw_role"), SUBMITTED)
    assert not RoleAssignment.objects.filter(role=role).exists()


def test_what_belongs_to_others_cannot_be_named(
    console: Client, viewer: User, stranger: User
) -> None:
    mine, theirs = (
        Role.objects.get(organization=user.organization, name="viewer")
        for user in (viewer, stranger)
    )
    path = button(RoleAssignment, "grant_role")
    before = footprint()

    foreign_person = submit(console, path, email=stranger.email, role=str(mine.pk))
    foreign_role = submit(console, path, email=viewer.email, role=str(theirs.pk))

    assert list(wrong(foreign_person)) == ["email"]
    assert list(wrong(foreign_role)) == ["role"]
    assert footprint() == before


def test_a_grant_that_is_there_is_said_in_the_dialog(console: Client, viewer: User) -> None:
    role = viewer.assignments.get().role

    answer = submit(
        console, button(RoleAssignment, "grant_role"), email=viewer.email, role=str(role.pk)
    )

    assert wrong(answer)["__all__"] == ["This person holds this role in this scope already."]
    assert "This person holds this role in this scope already." in answer.content.decode()


@pytest.mark.parametrize(
    "scope", ["project_id", "project_id =", "color = red", "project_id = a\nproject_id = b", "= x"]
)
def test_a_bad_scope_stays_in_the_dialog(console: Client, viewer: User, scope: str) -> None:
    role = Role.objects.get(organization=viewer.organization, name="developer")
    before = footprint()

    answer = submit(
        console,
        button(RoleAssignment, "grant_role"),
        email=viewer.email,
        role=str(role.pk),
        scope=scope,
    )

    assert list(wrong(answer)) == ["scope"]
    assert footprint() == before


# --- for whom -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["create_user", "create_role", "grant_role"])
def test_dialogs_open_for_those_alone_who_may(client: Client, operator: User, name: str) -> None:
    model = {"create_user": User, "create_role": Role, "grant_role": RoleAssignment}[name]
    client.force_login(operator)
    before = footprint()

    for answer in (client.get(button(model, name)), submit(client, button(model, name))):
        assert answer.status_code == 403
    assert footprint() == before


@pytest.mark.parametrize("name", ["edit_role", "delete_role"])
def test_another_organizations_role_is_not_touched(
    console: Client, stranger: User, name: str
) -> None:
    role = support(stranger, "agent.read")
    before = footprint()

    shown = console.get(address(Role, role.pk, name))
    submit(console, address(Role, role.pk, name), name="mine")

    assert "support" not in shown.content.decode()
    assert footprint() == before


@pytest.mark.parametrize("pk", ["not-an-id", "00000000-0000-0000-0000-000000000000"])
def test_an_object_that_is_not_there_leads_back(console: Client, pk: str) -> None:
    assert submit(console, address(Role, pk, "edit_role"), name="x").status_code == 200
    assert submit(console, address(User, pk, "edit_user"), role="viewer").status_code == 200


def test_nobody_gives_in_the_console_what_they_lack(client: Client, admin: User) -> None:
    giver = make_user(admin.organization, role=UserRole.VIEWER)
    giver.assignments.update(role=support(admin, "user_role.edit", "role.edit"))
    everything = Role.objects.get(organization=admin.organization, name="admin")
    client.force_login(giver)

    granted = submit(
        client, button(RoleAssignment, "grant_role"), email=giver.email, role=str(everything.pk)
    )
    edited = submit(client, address(User, giver.pk, "edit_user"), full_name="x", role="admin")

    for answer in (granted, edited):
        assert "You cannot give permissions" in str(wrong(answer))
    assert User.objects.get(pk=giver.pk).role == "support"
