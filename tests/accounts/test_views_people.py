"""Routes of `/api/v1/admin/users`."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from accounts.choices import UserRole
from accounts.models import Organization, Role, RoleAssignment, Session, User
from audit.models import AuditEvent
from tests.accounts.factories import make_key, make_user
from tests.clients import ApiClient
from tests.footprint import footprint

pytestmark = pytest.mark.django_db(transaction=True)
USERS: Final = "/api/v1/admin/users"
PASSWORD: Final = "A long and 1 good phrase"
BODY: Final = {"email": "ada@example.com", "password": PASSWORD, "full_name": "Ada"}
Api = Callable[[User | None], ApiClient]


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def emails(answer: Any) -> list[str]:
    return [person["email"] for person in answer.json()["items"]]


def test_a_person_is_added_and_logs_in(api: Api, admin: User) -> None:
    answer = api(admin).post(f"{USERS}/", BODY)

    body = answer.json()
    assert answer.status_code == 201
    assert body.pop("id")
    assert body.pop("created_at")
    assert body == {
        "email": "ada@example.com",
        "full_name": "Ada",
        "role": "viewer",
        "is_active": True,
        "mfa_enabled": False,
        "locked_until": None,
        "confirm_locked_until": None,
        "last_login_at": None,
    }
    login = ApiClient().post("/api/v1/auth/login", {"email": BODY["email"], "password": PASSWORD})
    assert login.status_code == 200
    event = AuditEvent.objects.get(action="user.create")
    assert event.details == {"email": "ada@example.com", "full_name": "Ada", "role": "viewer"}


@pytest.mark.parametrize("email", ["ada@example.com", "ADA@Example.com"])
def test_a_second_person_of_an_address_is_409(api: Api, admin: User, email: str) -> None:
    client = api(admin)
    client.post(USERS, BODY)
    before = footprint()

    assert refused(client.post(USERS, {**BODY, "email": email})) == (409, "user.email_taken")
    assert footprint() == before


def test_an_address_of_another_organization_is_taken_too(
    api: Api, admin: User, stranger: User
) -> None:
    answer = api(admin).post(USERS, {**BODY, "email": stranger.email})

    assert refused(answer) == (409, "user.email_taken")


@pytest.mark.parametrize(
    "change",
    [
        {"email": "nobody"},
        {"email": ""},
        {"password": "short"},
        {"password": "password password"},
        {"password": None},
        {"role": "nothing"},
        {"role": ""},
        {"full_name": "x" * 256},
    ],
)
def test_a_bad_person_is_422_and_nothing_is_written(
    api: Api, admin: User, change: dict[str, Any]
) -> None:
    client = api(admin)
    before = footprint()

    assert client.post(USERS, {**BODY, **change}).status_code == 422
    assert footprint() == before


def test_people_are_found(api: Api, organization: Organization, admin: User) -> None:
    ada = make_user(organization, role=UserRole.VIEWER, email="ada@example.com")
    bob = make_user(organization, role=UserRole.OPERATOR, email="bob@example.com")
    User.objects.filter(pk=bob.pk).update(is_active=False, full_name="Bob Adamson")
    client = api(admin)

    def find(**query: str) -> list[str]:
        return emails(client.get(USERS, **query))

    assert find() == [bob.email, ada.email, admin.email]
    assert find(email="ADA@example.com") == [ada.email]
    assert find(role="viewer") == [ada.email]
    assert find(role="nothing") == []
    assert find(is_active="false") == [bob.email]
    assert find(search="ada") == [bob.email, ada.email]
    assert find(search="%") == []
    assert client.get(USERS, is_active="maybe").status_code in {200, 422}


def test_a_person_is_shown(api: Api, admin: User, viewer: User) -> None:
    client = api(admin)

    shown = client.get(f"{USERS}/{viewer.pk}/").json()

    assert (shown["email"], shown["role"]) == (viewer.email, "viewer")
    assert shown in client.get(USERS).json()["items"]


@pytest.mark.parametrize("who", ["viewer", "operator"])
def test_people_are_for_who_may_give_roles(
    api: Api, request: pytest.FixtureRequest, who: str
) -> None:
    user: User = request.getfixturevalue(who)
    client = api(user)
    before = footprint()

    answers = [
        client.get(USERS),
        client.post(USERS, {}),
        client.get(f"{USERS}/{user.pk}"),
        client.patch(f"{USERS}/{user.pk}", {}),
    ]

    assert {refused(answer) for answer in answers} == {(403, "permission.denied")}
    assert {answer.json()["permission"] for answer in answers} == {"user_role.edit"}
    assert footprint() == before


def test_people_of_others_do_not_exist(api: Api, admin: User, stranger: User) -> None:
    client = api(stranger)
    before = footprint()

    assert client.get(f"{USERS}/{admin.pk}").status_code == 404
    assert client.patch(f"{USERS}/{admin.pk}", {"is_active": False}).status_code == 404
    assert emails(client.get(USERS)) == [stranger.email]
    assert footprint() == before


def test_who_is_disabled_is_out_with_the_next_request(api: Api, admin: User, viewer: User) -> None:
    theirs, key = api(viewer), make_key(viewer, "read")
    assert theirs.get("/api/v1/tasks").status_code == 200
    client = api(admin)

    answer = client.patch(f"{USERS}/{viewer.pk}", {"is_active": False})

    assert (answer.status_code, answer.json()["is_active"]) == (200, False)
    assert theirs.get("/api/v1/tasks").status_code == 401
    assert Session.objects.get(user=viewer).revoked_at is not None
    by_key = ApiClient()
    by_key._client.defaults["HTTP_X_API_KEY"] = key
    assert by_key.get("/api/v1/tasks").status_code == 401
    assert client.patch(f"{USERS}/{viewer.pk}", {"is_active": True}).status_code == 200
    assert theirs.get("/api/v1/tasks").status_code == 401  # that session stays ended
    assert by_key.get("/api/v1/tasks").status_code == 200
    event = AuditEvent.objects.filter(action="user.update").latest("pk")
    assert event.details == {"before": {"is_active": False}, "after": {"is_active": True}}


def test_a_new_role_replaces_those_that_are_held_everywhere(
    api: Api, admin: User, viewer: User
) -> None:
    roles = {role.name: role for role in Role.objects.filter(organization=admin.organization)}
    for role, scope in (("approver", {}), ("operator", {"project_id": "p"})):
        RoleAssignment.objects.create(
            organization=admin.organization, user=viewer, role=roles[role], scope=scope
        )
    theirs = api(viewer)
    assert theirs.get("/api/v1/roles").status_code == 200

    answer = api(admin).patch(f"{USERS}/{viewer.pk}", {"role": "developer", "full_name": "Dev"})

    held = set(viewer.assignments.values_list("role__name", "scope__project_id"))
    assert (answer.status_code, answer.json()["role"]) == (200, "developer")
    assert held == {("developer", None), ("operator", "p")}
    assert theirs.get("/api/v1/roles").status_code == 403
    actions = AuditEvent.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions)[-4:] == [
        "user_role.withdraw",
        "user_role.withdraw",
        "user_role.grant",
        "user.update",
    ]


@pytest.mark.parametrize(
    "change", [{"role": "x"}, {"role": None}, {"is_active": "maybe"}, {"full_name": "a\x00b"}]
)
def test_a_bad_change_is_422_and_nothing_is_written(
    api: Api, admin: User, viewer: User, change: dict[str, Any]
) -> None:
    client = api(admin)
    before = footprint()

    answer = client.patch(
        f"{USERS}/{viewer.pk}", {"full_name": "New", "is_active": False, **change}
    )

    assert answer.status_code == 422
    assert footprint() == before


def test_nobody_makes_somebody_who_may_more_than_they(
    api: Api, organization: Organization, admin: User, viewer: User
) -> None:
    role = Role.objects.create(
        organization=organization, name="staff", permissions=["user_role.edit", "task.read"]
    )
    giver = make_user(organization)
    giver.assignments.all().delete()
    RoleAssignment.objects.create(organization=organization, user=giver, role=role)
    client = api(giver)
    before = footprint()

    made = client.post(USERS, {**BODY, "role": "admin"})
    changed = client.patch(f"{USERS}/{viewer.pk}", {"role": "operator"})
    own = client.patch(f"{USERS}/{giver.pk}", {"role": "admin"})

    assert refused(made) == refused(changed) == refused(own) == (403, "role.escalation")
    assert footprint() == before
    assert client.post(USERS, {**BODY, "role": "STAFF"}).status_code == 201


def test_somebody_may_step_down_themselves(api: Api, organization: Organization) -> None:
    first, second = make_user(organization), make_user(organization)

    answer = api(second).patch(f"{USERS}/{second.pk}", {"role": "viewer"})

    assert (answer.status_code, answer.json()["role"]) == (200, "viewer")
    assert User.objects.get(pk=first.pk).may("role.edit")


# --- the last who may -----------------------------------------------------------------------------


def ways_to_strip(client: ApiClient, user: User) -> list[Any]:
    """Every way to take the right to steer from `user`, the only one who has it."""
    given = user.assignments.get()
    role = f"/api/v1/roles/{given.role_id}"
    rest = [key for key in given.role.permissions if key != "role.edit"]
    return [
        client.delete(f"/api/v1/user-roles/{given.pk}"),
        client.patch(f"{USERS}/{user.pk}", {"role": "viewer"}),
        client.patch(f"{USERS}/{user.pk}", {"is_active": False}),
        client.put(f"{role}/permissions", {"permissions": rest}),
        client.put(f"{role}/permissions", {"permissions": ["role.edit"]}),
        client.put(f"{role}/permissions", {"permissions": []}),
    ]


def test_the_last_who_may_steer_cannot_be_stripped(
    api: Api, organization: Organization, admin: User
) -> None:
    disabled = make_user(organization)
    User.objects.filter(pk=disabled.pk).update(is_active=False)
    scoped = make_user(organization)
    scoped.assignments.update(scope={"project_id": "p"})
    client = api(admin)
    before = footprint()

    answers = ways_to_strip(client, admin)

    assert {refused(answer) for answer in answers} == {(409, "role.last_holder")}
    assert footprint() == before


def test_a_role_that_the_last_holds_cannot_be_deleted(api: Api, organization: Organization) -> None:
    admin = make_user(organization)
    role = Role.objects.create(
        organization=organization, name="steer", permissions=["role.edit", "user_role.edit"]
    )
    admin.assignments.update(role=role)
    client = api(admin)
    before = footprint()

    answer = client.delete(f"/api/v1/roles/{role.pk}")

    assert refused(answer) == (409, "role.last_holder")
    assert footprint() == before


def test_nobody_disables_themselves(api: Api, organization: Organization, admin: User) -> None:
    make_user(organization)
    client = api(admin)
    before = footprint()

    answer = client.patch(f"{USERS}/{admin.pk}", {"full_name": "New", "is_active": False})

    assert refused(answer) == (403, "user.own_account")
    assert footprint() == before


@pytest.mark.parametrize("change", [{"role": "viewer"}, None])
def test_with_a_second_one_each_way_is_open(
    api: Api, organization: Organization, admin: User, change: dict[str, Any] | None
) -> None:
    make_user(organization)
    client = api(admin)

    if change is None:
        answer = client.delete(f"/api/v1/user-roles/{admin.assignments.get().pk}")
    else:
        answer = client.patch(f"{USERS}/{admin.pk}", change)

    assert answer.status_code in {200, 204}
    assert client.get(USERS).status_code in {401, 403}
