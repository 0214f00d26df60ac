"""Routes of roles, of who holds them, and of the catalogue."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from accounts.choices import UserRole
from accounts.models import Organization, Role, RoleAssignment, User
from audit.models import AuditEvent
from kernel import permissions
from tests.accounts.factories import make_user
from tests.agents.factories import make_agent
from tests.clients import ApiClient
from tests.footprint import footprint
from tests.projects.factories import make_environment, make_project

pytestmark = pytest.mark.django_db
ROLES: Final = "/api/v1/roles"
USER_ROLES: Final = "/api/v1/user-roles"
NOBODY: Final = "00000000-0000-0000-0000-000000000000"
Api = Callable[[User | None], ApiClient]


def role_named(organization: Organization, name: str) -> Role:
    return Role.objects.get(organization=organization, name=name)


def make_role(organization: Organization, *keys: str, name: str = "support") -> Role:
    return Role.objects.create(organization=organization, name=name, permissions=sorted(keys))


def hold(user: User, role: Role, **scope: str) -> RoleAssignment:
    return RoleAssignment.objects.create(
        organization_id=user.organization_id, user=user, role=role, scope=scope
    )


def make_holder(organization: Organization, *keys: str, **scope: str) -> User:
    """Somebody who holds just `keys`, for `scope`."""
    user = make_user(organization, role=UserRole.VIEWER)
    user.assignments.all().delete()
    hold(user, make_role(organization, *keys, name=f"only {user.pk}"), **scope)
    user.__dict__.pop("rights", None)
    return user


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def last_event() -> AuditEvent:
    return AuditEvent.objects.latest("pk")


# --- the catalogue ----------------------------------------------------------------------------


def test_the_catalogue_is_a_bare_array_by_key(api: Api, viewer: User) -> None:
    answer = api(viewer).get("/api/v1/permissions")

    listed = answer.json()
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "public, max-age=300"
    assert [entry["key"] for entry in listed] == sorted(permissions.catalogue())
    assert listed[0].keys() == {"key", "group", "description"}


def test_the_catalogue_needs_a_caller(api: Api) -> None:
    assert api(None).get("/api/v1/permissions").status_code == 401


# --- roles ------------------------------------------------------------------------------------


def test_a_role_is_made_and_shown(api: Api, admin: User) -> None:
    client = api(admin)

    answer = client.post(
        ROLES,
        {
            "name": "support",
            "description": "Looks.",
            "permissions": ["task.read", "agent.read", "task.read"],
        },
    )

    body = answer.json()
    assert answer.status_code == 201
    assert (body["name"], body["description"], body["is_system"]) == ("support", "Looks.", False)
    assert body["permissions"] == ["agent.read", "task.read"]
    assert body.keys() == {
        "id",
        "name",
        "description",
        "permissions",
        "is_system",
        "created_at",
        "updated_at",
    }
    assert client.get(f"{ROLES}/{body['id']}").json() == body
    assert (last_event().action, last_event().resource_id) == ("role.create", body["id"])


def test_roles_are_listed_with_the_built_in_ones_first(api: Api, viewer: User) -> None:
    make_role(viewer.organization, name="aaa")

    listed = api(viewer).get(ROLES).json()

    names = [role["name"] for role in listed["items"]]
    assert names == ["admin", "approver", "developer", "operator", "viewer", "aaa"]
    assert listed["total"] == 6


@pytest.mark.parametrize("name", ["support", "SUPPORT", " support ", "admin", "Admin"])
def test_a_second_role_of_a_name_is_409(api: Api, admin: User, name: str) -> None:
    make_role(admin.organization)
    client = api(admin)
    before = footprint()

    assert refused(client.post(ROLES, {"name": name})) == (409, "role.name_taken")
    assert footprint() == before


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x" * 101},
        {"name": "a\x00b"},
        {"name": ["x"]},
        {"name": "x", "permissions": "task.read"},
        {"name": "x", "permissions": ["nothing.read"]},
        {"name": "x", "permissions": ["*"]},
        {"name": "x", "permissions": [7]},
        {"name": "x", "permissions": ["person"]},
        {"name": "x", "permissions": ["task.read"] * 501},
        {"name": "x", "description": "x" * 2001},
        [],
    ],
)
def test_a_bad_role_is_422_and_nothing_is_written(api: Api, admin: User, body: Any) -> None:
    client = api(admin)
    before = footprint()

    assert client.post(ROLES, body).status_code == 422
    assert footprint() == before


def test_an_unknown_permission_is_named(api: Api, admin: User) -> None:
    answer = api(admin).post(ROLES, {"name": "x", "permissions": ["a.b", "task.read", "c.d"]})

    assert [error["type"] for error in answer.json()["errors"]] == ["unknown_permission"] * 2
    assert "`a.b`" in answer.json()["errors"][0]["message"]


def test_permissions_are_replaced_whole(api: Api, admin: User) -> None:
    role = make_role(admin.organization, "task.read", "task.edit")

    answer = api(admin).put(f"{ROLES}/{role.pk}/permissions/", {"permissions": ["agent.read"]})

    role.refresh_from_db()
    assert (answer.status_code, answer.content) == (204, b"")
    assert role.permissions == ["agent.read"]
    assert last_event().details["before"] == {"permissions": ["task.edit", "task.read"]}


def test_a_built_in_role_is_edited_but_keeps_its_name(api: Api, admin: User) -> None:
    client, role = api(admin), role_named(admin.organization, "viewer")
    path = f"{ROLES}/{role.pk}"

    assert client.put(f"{path}/permissions", {"permissions": []}).status_code == 204
    assert client.patch(path, {"description": "Nothing."}).json()["description"] == "Nothing."
    assert client.patch(path, {"name": "viewer"}).status_code == 200
    assert refused(client.patch(path, {"name": "guest"})) == (409, "role.is_system")
    assert refused(client.delete(path)) == (409, "role.is_system")
    assert Role.objects.filter(pk=role.pk, name="viewer", permissions=[]).exists()


def test_a_role_gets_another_name(api: Api, admin: User) -> None:
    role = make_role(admin.organization)

    answer = api(admin).patch(f"{ROLES}/{role.pk}", {"name": "desk"})

    assert (answer.status_code, answer.json()["name"]) == (200, "desk")
    assert refused(api(admin).patch(f"{ROLES}/{role.pk}", {"name": "Viewer"})) == (
        409,
        "role.name_taken",
    )


def test_a_deleted_role_is_held_by_nobody(api: Api, admin: User, viewer: User) -> None:
    role = make_role(admin.organization, "task.edit")
    hold(viewer, role)

    answer = api(admin).delete(f"{ROLES}/{role.pk}")

    assert answer.status_code == 204
    assert not RoleAssignment.objects.filter(role_id=role.pk).exists()
    assert not User.objects.get(pk=viewer.pk).may("task.edit")
    assert last_event().details["holders"] == [str(viewer.pk)]


@pytest.mark.parametrize("method", ["get", "patch", "delete"])
def test_a_role_of_another_organization_does_not_exist(
    api: Api, admin: User, stranger: User, method: str
) -> None:
    role = make_role(admin.organization)
    client = api(stranger)
    before = footprint()

    assert refused(getattr(client, method)(f"{ROLES}/{role.pk}")) == (404, "resource.not_found")
    assert client.put(f"{ROLES}/{role.pk}/permissions", {"permissions": []}).status_code == 404
    assert footprint() == before


@pytest.mark.parametrize("who", ["viewer", "operator"])
def test_only_who_may_edit_roles_does(api: Api, request: pytest.FixtureRequest, who: str) -> None:
    user: User = request.getfixturevalue(who)
    role = make_role(user.organization)
    client = api(user)
    before = footprint()

    answers = [
        client.post(ROLES, {}),
        client.patch(f"{ROLES}/{role.pk}", {}),
        client.put(f"{ROLES}/{role.pk}/permissions", {}),
        client.delete(f"{ROLES}/{role.pk}"),
    ]

    assert {refused(answer) for answer in answers} == {(403, "permission.denied")}
    assert answers[0].json()["permission"] == "role.edit"
    assert "`role.edit`" in answers[0].json()["detail"]
    assert footprint() == before


def test_a_malformed_id_is_422(api: Api, admin: User) -> None:
    assert api(admin).get(f"{ROLES}/x.y").status_code == 422
    assert api(admin).delete(f"{USER_ROLES}/1").status_code == 422
    assert api(admin).get("/api/v1/users/1/roles").status_code == 422


# --- who holds what ---------------------------------------------------------------------------


def test_a_role_is_given_and_listed(api: Api, admin: User, viewer: User) -> None:
    role, client = role_named(admin.organization, "developer"), api(admin)
    project = make_project(admin.organization)
    scope = {"project_id": str(project.pk), "environment": "prod"}

    answer = client.post(
        USER_ROLES, {"user_id": str(viewer.pk), "role_id": str(role.pk), "scope": scope}
    )

    body = answer.json()
    granted_at = body.pop("granted_at")
    assert answer.status_code == 201
    assert body == {
        "id": body["id"],
        "user_id": str(viewer.pk),
        "role_id": str(role.pk),
        "role": "developer",
        "scope": scope,
        "granted_by": str(admin.pk),
    }
    body["granted_at"] = granted_at
    assert client.get(f"{USER_ROLES}/{body['id']}").json() == body
    assert client.get(USER_ROLES, role_id=role.pk).json()["items"] == [body]
    assert client.get(f"/api/v1/users/{viewer.pk}/roles/").json()["items"][0] == body
    assert client.get(USER_ROLES, user_id=viewer.pk).json()["total"] == 2
    event = last_event()
    assert (event.action, event.details["scope"]) == ("user_role.grant", scope)


def test_a_scope_names_what_the_organization_has(
    api: Api, admin: User, viewer: User, stranger: User
) -> None:
    role, client = role_named(admin.organization, "developer"), api(admin)
    body = {"user_id": str(viewer.pk), "role_id": str(role.pk)}
    project, theirs = make_project(admin.organization), make_project(stranger.organization)
    mine = {
        "project_id": str(project.pk).upper(),
        "environment_id": str(make_environment(project).pk),
        "agent_id": str(make_agent(admin.organization).pk),
    }

    answer = client.post(USER_ROLES, {**body, "scope": mine})
    other = client.post(USER_ROLES, {**body, "scope": {**mine, "project_id": str(theirs.pk)}})

    assert answer.status_code == 201
    assert answer.json()["scope"] == {**mine, "project_id": str(project.pk)}
    assert other.status_code == 422
    assert [error["field"] for error in other.json()["errors"]] == ["scope.project_id"]


def test_a_role_is_taken_back(api: Api, admin: User, viewer: User) -> None:
    given = hold(viewer, role_named(admin.organization, "developer"))
    client = api(admin)

    assert client.delete(f"{USER_ROLES}/{given.pk}").status_code == 204
    assert client.delete(f"{USER_ROLES}/{given.pk}").status_code == 404
    assert last_event().action == "user_role.withdraw"


@pytest.mark.parametrize("scope", [{}, {"environment": "dev"}])
def test_a_role_is_given_once_for_each_scope(
    api: Api, admin: User, viewer: User, scope: dict[str, str]
) -> None:
    role = role_named(admin.organization, "developer")
    body = {"user_id": str(viewer.pk), "role_id": str(role.pk), "scope": scope}
    client = api(admin)

    assert client.post(USER_ROLES, body).status_code == 201
    assert refused(client.post(USER_ROLES, body)) == (409, "user_role.already_granted")
    assert client.post(USER_ROLES, {**body, "scope": {"environment": "prod"}}).status_code == 201


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": NOBODY},
        {"role_id": NOBODY},
        {"user_id": "x"},
        {"role_id": None},
        {"scope": {"color": "red"}},
        {"scope": {"project_id": ""}},
        {"scope": {"project_id": " "}},
        {"scope": {"project_id": 7}},
        {"scope": {"project_id": None}},
        {"scope": {"project_id": ["a"]}},
        {"scope": {"project_id": "a\x00b"}},
        {"scope": {"environment": "x" * 256}},
        {"scope": {"project_id": "p1"}},
        {"scope": {"project_id": NOBODY}},
        {"scope": {"environment_id": NOBODY}},
        {"scope": {"agent_id": NOBODY}},
        {"scope": []},
        {"scope": "project_id"},
    ],
)
def test_a_bad_grant_is_422_and_nothing_is_written(
    api: Api, admin: User, viewer: User, change: dict[str, Any]
) -> None:
    role = role_named(admin.organization, "developer")
    client = api(admin)
    before = footprint()

    answer = client.post(
        USER_ROLES, {"user_id": str(viewer.pk), "role_id": str(role.pk), "scope": {}, **change}
    )

    assert answer.status_code == 422
    assert footprint() == before


def test_what_belongs_to_others_cannot_be_named(api: Api, admin: User, stranger: User) -> None:
    mine, theirs = (role_named(u.organization, "viewer") for u in (admin, stranger))
    client = api(admin)

    for user, role in ((stranger, mine), (admin, theirs)):
        body = {"user_id": str(user.pk), "role_id": str(role.pk)}
        assert client.post(USER_ROLES, body).status_code == 422
    assert client.delete(f"{USER_ROLES}/{stranger.assignments.get().pk}").status_code == 404
    assert client.get(f"/api/v1/users/{stranger.pk}/roles").status_code == 404
    assert client.get(USER_ROLES).json()["total"] == 1


@pytest.mark.parametrize("who", ["viewer", "operator"])
def test_only_who_may_give_roles_does(api: Api, request: pytest.FixtureRequest, who: str) -> None:
    user: User = request.getfixturevalue(who)
    client = api(user)
    before = footprint()

    given = client.post(USER_ROLES, {"scope": {"project_id": "p"}})
    taken = client.delete(f"{USER_ROLES}/{user.assignments.get().pk}")

    assert refused(given) == refused(taken) == (403, "permission.denied")
    assert given.json()["permission"] == "user_role.edit"
    assert footprint() == before


# --- nobody gives what they have not ------------------------------------------------------------


def test_nobody_gives_a_role_that_permits_more_than_they_may(
    api: Api, organization: Organization, admin: User, viewer: User
) -> None:
    giver = make_holder(organization, "user_role.edit", "task.read")
    client, role = api(giver), role_named(organization, "admin")
    before = footprint()

    for user in (giver, viewer):
        answer = client.post(USER_ROLES, {"user_id": str(user.pk), "role_id": str(role.pk)})
        assert refused(answer) == (403, "role.escalation")
        assert "role.edit" in answer.json()["permissions"]
    assert footprint() == before


def test_nobody_edits_a_role_to_permit_more_than_they_may(
    api: Api, organization: Organization, admin: User
) -> None:
    editor = make_holder(organization, "role.edit", "task.read")
    own, other = editor.assignments.get().role, make_role(organization, "agent.read")
    client = api(editor)
    more = {"permissions": ["role.edit", "task.read", "task.edit"]}

    answers = [
        client.post(ROLES, {"name": "x", "permissions": ["task.edit"]}),
        client.put(f"{ROLES}/{own.pk}/permissions", more),
    ]
    kept = client.put(
        f"{ROLES}/{other.pk}/permissions", {"permissions": ["agent.read", "task.read"]}
    )

    assert {refused(answer) for answer in answers} == {(403, "role.escalation")}
    assert answers[0].json()["permissions"] == ["task.edit"]
    assert kept.status_code == 204  # what the role had, it was not given by this
    assert (
        client.put(f"{ROLES}/{other.pk}/permissions", {"permissions": ["agent.read"]}).status_code
        == 204
    )


def test_who_gives_roles_for_a_project_gives_them_for_that_alone(
    api: Api, organization: Organization, admin: User, viewer: User
) -> None:
    giver = make_holder(organization, "user_role.edit", "task.read", environment="dev")
    client, role = api(giver), make_role(organization, "task.read")
    body = {"user_id": str(viewer.pk), "role_id": str(role.pk)}

    inside = client.post(USER_ROLES, {**body, "scope": {"environment": "dev", "operation": "o"}})
    outside = [
        client.post(USER_ROLES, {**body, "scope": scope})
        for scope in ({}, {"environment": "prod"}, {"operation": "o"}, {"environment": ["dev"]})
    ]
    more = {**body, "role_id": str(role_named(organization, "operator").pk)}
    escalated = client.post(USER_ROLES, {**more, "scope": {"environment": "dev"}})

    assert inside.status_code == 201
    assert {refused(answer) for answer in outside} == {(403, "permission.denied")}
    assert refused(escalated) == (403, "role.escalation")
    assert client.delete(f"{USER_ROLES}/{inside.json()['id']}").status_code == 204
    assert client.delete(f"{USER_ROLES}/{viewer.assignments.get().pk}").status_code == 403


def test_a_patch_may_replace_the_permissions(api: Api, admin: User) -> None:
    client = api(admin)
    made = client.post(ROLES, {"name": "Reader", "permissions": ["task.read", "agent.read"]}).json()

    answer = client.patch(f"{ROLES}/{made['id']}", {"permissions": ["task.read"]})

    assert (answer.status_code, answer.json()["permissions"]) == (200, ["task.read"])


def test_a_patch_gives_nothing_that_its_sender_lacks(api: Api, admin: User) -> None:
    made = api(admin).post(ROLES, {"name": "Editor", "permissions": ["role.edit"]}).json()
    editor = make_user(admin.organization, role=UserRole.VIEWER)
    editor.assignments.update(role_id=made["id"])

    answer = api(editor).patch(f"{ROLES}/{made['id']}", {"permissions": ["settings.edit"]})

    assert (answer.status_code, answer.json()["code"]) == (403, "role.escalation")
