"""The API's door: where a token is looked for, API keys, cookies, and who is turned away."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from accounts.models import ApiKey, IpRule, Organization, Session, User
from accounts.operations import callers
from audit.models import AuditEvent
from kernel import clock
from tests.accounts.factories import make_key, make_token, make_user, set_role
from tests.clients import ApiClient

pytestmark = pytest.mark.django_db
ME: Final = "/api/v1/auth/me"
NAME: Final = "agenthub-access-token"
Api = Callable[[User | None], ApiClient]


def asked(client: Client | None = None, path: str = ME, **headers: str) -> Any:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return (client or Client()).get(path, headers=names)


def who(answer: Any) -> str | int:
    found: str | int = answer.json().get("email", answer.status_code)
    return found


def cookie(token: str, *, checks: bool = True) -> Client:
    client = Client(enforce_csrf_checks=checks)
    client.cookies[NAME] = token
    return client


# --- where a token is looked for ----------------------------------------------------------------


@pytest.mark.parametrize("place", ["bearer", "Bearer", "header", "key header", "cookie"])
def test_a_token_is_found_in_each_place(viewer: User, place: str) -> None:
    token = make_token(viewer)

    match place:
        case "header":
            answer = asked(agenthub_access_token=token)
        case "key header":
            answer = asked(X_API_Key=token)
        case "cookie":
            answer = asked(cookie(token))
        case scheme:
            answer = asked(Authorization=f"{scheme} {token}")

    assert who(answer) == viewer.email


def test_the_first_token_that_is_found_counts(
    organization: Organization, settings: Settings
) -> None:
    settings.HUB_QUERY_TOKENS = True
    people = [make_user(organization) for _ in range(4)]
    query, bearer, header, jar = (make_token(user) for user in people)
    client = cookie(jar)
    headers = {"Authorization": f"Bearer {bearer}", NAME: header}

    def ask(path: str = ME, **sent: str) -> str | int:
        return who(client.get(path, headers=sent))

    assert ask(f"{ME}?access_token={query}", **headers) == people[0].email
    assert ask(**headers) == people[1].email
    assert ask(**{NAME: header}) == people[2].email
    assert ask() == people[3].email
    assert ask(Authorization="Bearer x", **{NAME: header}) == 401
    assert ask(Authorization="Basic eDp5", **{NAME: header}) == 401


def test_a_token_in_the_address_is_ignored_unless_it_is_switched_on(
    viewer: User, settings: Settings
) -> None:
    path = f"{ME}?access_token={make_token(viewer)}"

    assert asked(path=path).status_code == 401
    settings.HUB_QUERY_TOKENS = True
    assert who(asked(path=path)) == viewer.email


def test_an_empty_cookie_is_no_token(db: None) -> None:
    assert asked(cookie("")).json()["code"] == "auth.required"


def test_a_cookie_writes_only_with_the_csrf_token(viewer: User) -> None:
    client = cookie(make_token(viewer))
    name = {"full_name": "Ada"}

    forged = client.put(ME, name, content_type="application/json")
    client.cookies["csrftoken"] = secret = "a" * 32
    wrong = client.put(ME, name, "application/json", headers={"X-CSRFToken": "b" * 32})
    good = client.put(ME, name, "application/json", headers={"X-CSRFToken": secret})

    for answer in (forged, wrong):
        assert (answer.status_code, answer.json()["code"]) == (403, "auth.csrf_refused")
    assert (good.status_code, good.json()["full_name"]) == (200, "Ada")


def test_a_cookie_is_not_believed_from_another_site(viewer: User) -> None:
    client = cookie(make_token(viewer))
    client.cookies["csrftoken"] = secret = "a" * 32
    headers = {"X-CSRFToken": secret, "Origin": "https://evil.example.com"}

    answer = client.put(ME, {"full_name": "x"}, "application/json", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (403, "auth.csrf_refused")


# --- API keys -----------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key", NAME])
def test_a_key_opens_what_its_scopes_and_its_owner_may(operator: User, header: str) -> None:
    key = make_key(operator, "task.read", "role.edit")
    headers = {header: f"Bearer {key}" if header == "Authorization" else key}
    client = Client(headers=headers)

    assert client.get("/api/v1/tasks").status_code == 200
    lacking = client.get("/api/v1/agents")
    beyond = client.post("/api/v1/roles", {"name": "x"}, "application/json")

    assert lacking.status_code == beyond.status_code == 403
    assert lacking.json()["permission"] == "agent.read"
    assert beyond.json()["permission"] == "role.edit"


@pytest.mark.parametrize(("scope", "writes"), [("read", 403), ("write", 201)])
def test_the_wide_scopes(operator: User, scope: str, writes: int) -> None:
    client = Client(headers={"X-API-Key": make_key(operator, scope)})

    made = client.post("/api/v1/agents", {"name": "Ada"}, "application/json")

    assert made.status_code == writes
    assert client.get("/api/v1/agents").status_code == 200
    assert client.post("/api/v1/roles", {"name": "x"}, "application/json").status_code == 403


def test_what_is_for_people_is_closed_to_keys(admin: User) -> None:
    client = Client(headers={"X-API-Key": make_key(admin, "write")})

    answer = client.put(ME, {"full_name": "x"}, "application/json")

    assert answer.status_code == 403
    assert answer.json()["detail"] == "An API key cannot do this. Log in."
    assert who(client.get(ME)) == admin.email


def test_a_key_gives_no_more_than_its_scopes(admin: User, viewer: User) -> None:
    client = Client(headers={"X-API-Key": make_key(admin, "user_role.edit", "role.read")})
    roles = {r["name"]: r["id"] for r in client.get("/api/v1/roles").json()["items"]}
    body = {"user_id": str(viewer.pk), "role_id": roles["operator"]}

    answer = client.post("/api/v1/user-roles", body, "application/json")
    made = client.post(
        "/api/v1/admin/users",
        {"email": "x@example.com", "password": "A long and 1 good phrase", "role": "admin"},
        "application/json",
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "role.escalation")
    assert (made.status_code, made.json()["code"]) == (403, "role.escalation")
    assert not User.objects.filter(email="x@example.com").exists()


def test_what_a_key_does_is_done_by_the_key(admin: User) -> None:
    client = Client(headers={"X-API-Key": make_key(admin, "write")})

    client.post("/api/v1/roles", {"name": "x"}, "application/json")

    event = AuditEvent.objects.latest("pk")
    key = ApiKey.objects.get()
    assert (event.actor_type, event.actor_id) == ("key", str(key.pk))
    assert event.actor_label == f"robot of {admin.email}"


@pytest.mark.parametrize(
    "end",
    [
        lambda: ApiKey.objects.update(revoked_at=clock.now()),
        lambda: ApiKey.objects.update(expires_at=clock.now()),
        lambda: ApiKey.objects.all().delete(),
        lambda: User.objects.update(is_active=False),
        lambda: Organization.objects.update(is_active=False),
    ],
)
def test_a_key_that_has_ended_opens_nothing(
    viewer: User, end: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key(viewer, "read")
    assert asked(X_API_Key=key).status_code == 200

    end()
    monkeypatch.setattr(callers, "_memory", callers._Memory())

    answer = asked(X_API_Key=key)
    assert (answer.status_code, answer.json()["code"]) == (401, "auth.token_refused")


@pytest.mark.parametrize("key", ["ahk_", "ahk_x", "ahk_é", "ahk_" + "x" * 9000])
def test_a_made_up_key_opens_nothing(db: None, key: str) -> None:
    assert asked(X_API_Key=key).json()["code"] == "auth.token_refused"


@pytest.mark.django_db(transaction=True)
def test_a_key_is_remembered_and_costs_a_query_at_most(viewer: User) -> None:
    key = make_key(viewer, "read", last_used_at=clock.now())
    counted = []

    for _ in range(4):
        with CaptureQueriesContext(connection) as queries:
            callers.identify(token=key, now=clock.now())
        counted.append(len(queries))

    caller = callers.identify(token=key, now=clock.now())
    assert counted == [1, 1, 0, 0]
    assert (caller.session_id, caller.key_id) == (None, ApiKey.objects.get().pk)
    assert caller.user.may("task.read")
    assert not caller.user.may("task.edit")


@pytest.mark.django_db(transaction=True)
def test_a_remembered_key_ends_with_its_owners_rights(viewer: User, admin: User) -> None:
    client = Client(headers={"X-API-Key": make_key(viewer, "read")})
    for _ in range(3):
        assert client.get("/api/v1/tasks").status_code == 200

    answer = ApiClient(admin).patch(f"/api/v1/admin/users/{viewer.pk}", {"is_active": False})

    assert answer.status_code == 200
    assert client.get("/api/v1/tasks").status_code == 401


def test_use_is_noted_to_the_minute(viewer: User, monkeypatch: pytest.MonkeyPatch) -> None:
    key, began = make_key(viewer, "read"), clock.now()
    token = make_token(viewer)
    Session.objects.update(last_seen_at=began - timedelta(hours=1))

    callers.identify(token=key, now=began)
    callers.identify(token=token, now=began)
    assert ApiKey.objects.get().last_used_at == Session.objects.get().last_seen_at == began
    monkeypatch.setattr(callers, "_memory", callers._Memory())
    callers.identify(token=key, now=began + timedelta(seconds=59))
    callers.identify(token=token, now=began + timedelta(seconds=59))

    assert ApiKey.objects.get().last_used_at == Session.objects.get().last_seen_at == began


# --- who is turned away -------------------------------------------------------------------------


def test_an_organizations_rules_hold_for_tokens_and_keys(viewer: User, stranger: User) -> None:
    IpRule.objects.create(
        organization=viewer.organization, cidr="10.0.0.0/8", action="allow", position=0
    )

    for token in (make_key(viewer, "read"), make_token(viewer)):
        answer = asked(X_API_Key=token)
        assert (answer.status_code, answer.json()["code"]) == (403, "auth.address_refused")
    assert asked(X_API_Key=make_token(stranger)).status_code == 200


@pytest.mark.parametrize(
    ("restriction", "code"),
    [("password", "auth.password_expired"), ("mfa", "auth.mfa_enrollment_required")],
)
def test_a_restricted_session_learns_what_it_is_for(
    admin: User, restriction: str, code: str
) -> None:
    token = make_token(admin)
    Session.objects.update(restriction=restriction)

    answer = asked(path="/api/v1/tasks", X_API_Key=token)

    assert (answer.status_code, answer.json()["code"]) == (403, code)
    assert asked(X_API_Key=token).status_code == 200


def test_a_token_is_asked_about_in_one_query(viewer: User) -> None:
    set_role(viewer, "operator")  # type: ignore[arg-type]  # its value
    token = make_token(viewer)

    with CaptureQueriesContext(connection) as queries:
        caller = callers.identify(token=token, now=clock.now())
        assert caller.user.may("task.edit")

    assert len(queries) == 1
