"""Logging in to the console: one row for each browser, second factors, and how it all ends."""

from datetime import timedelta

import pytest
from django.test import Client

from accounts.models import Session, User
from accounts.operations import console, sessions
from audit.models import AuditEvent
from kernel import clock
from preferences import operations as preferences
from tests.accounts.factories import PASSWORD, enrol, make_actor, totp
from tests.clients import ApiClient

pytestmark = pytest.mark.django_db(transaction=True)
LOGIN = "/admin/login/"
CODE = "/admin/login/code/"


def log_in(client: Client, user: User, password: str = PASSWORD, aim: str = "/admin/") -> str:
    """Where the form leads; "" if it is shown again."""
    body = {"username": user.email, "password": password}
    return str(client.post(f"{LOGIN}?next={aim}", body).headers.get("Location", ""))


def is_inside(client: Client) -> bool:
    return client.get("/admin/").status_code == 200


def last_event() -> AuditEvent:
    return AuditEvent.objects.latest("pk")


def test_a_login_opens_a_session_of_its_own(client: Client, viewer: User) -> None:
    assert log_in(client, viewer) == "/admin/"

    session = Session.objects.get()
    event = last_event()
    assert (session.kind, session.user, session.refresh_jti) == ("console", viewer, "")
    assert (event.action, event.actor_id, event.resource_id, event.status) == (
        "auth.console_login",
        str(viewer.pk),
        str(session.pk),
        "success",
    )
    assert is_inside(client)


def test_a_wrong_password_opens_nothing_and_counts(client: Client, viewer: User) -> None:
    assert log_in(client, viewer, "wrong") == ""

    viewer.refresh_from_db()
    event = last_event()
    assert not is_inside(client)
    assert viewer.failed_logins == 1
    assert (event.action, event.actor_type, event.status) == (
        "auth.console_login",
        "anonymous",
        "failure",
    )


def test_a_refused_login_of_somebody_who_is_logged_in_changes_nothing(
    client: Client, viewer: User
) -> None:
    client.force_login(viewer)

    assert log_in(client, viewer, "wrong") == ""

    assert is_inside(client)
    assert Session.objects.count() == 1


def test_the_cookie_of_before_the_login_opens_nothing(client: Client, viewer: User) -> None:
    client.session.save()
    planted = client.cookies["sessionid"].value
    log_in(client, viewer)

    assert client.cookies["sessionid"].value != planted
    thief = Client()
    thief.cookies["sessionid"] = planted
    assert not is_inside(thief)


@pytest.mark.parametrize(
    ("aim", "address"),
    [
        ("/admin/tasks/task/", "/admin/tasks/task/"),
        ("https://elsewhere.example.com/", "/admin/"),
        ("//elsewhere.example.com", "/admin/"),
        ("javascript:alert(1)", "/admin/"),
    ],
)
def test_a_login_leads_only_within_the_hub(
    client: Client, viewer: User, aim: str, address: str
) -> None:
    assert log_in(client, viewer, aim=aim) == address


def test_a_second_factor_is_asked_for_on_the_next_page(client: Client, viewer: User) -> None:
    enrolled = enrol(viewer)

    there = log_in(client, viewer, aim="/admin/tasks/task/")

    assert there.startswith(CODE)
    assert not is_inside(client)
    assert client.post(there, {"code": "000000"}).status_code == 200
    assert not is_inside(client)
    answer = client.post(there, {"code": totp(enrolled.secret, ahead=1)})
    assert answer["Location"] == "/admin/tasks/task/"
    assert is_inside(client)
    session = Session.objects.get(kind="console")
    assert session.mfa_at is not None
    assert Session.objects.get(kind="pending").expires_at <= clock.now()


def test_without_the_password_there_is_no_second_page(client: Client, viewer: User) -> None:
    assert client.get(CODE)["Location"] == LOGIN


def test_a_logout_ends_the_session_for_good(client: Client, viewer: User) -> None:
    log_in(client, viewer)
    copied = client.cookies["sessionid"].value

    client.post("/admin/logout/")

    thief = Client()
    thief.cookies["sessionid"] = copied
    assert not is_inside(client)
    assert not is_inside(thief)
    assert Session.objects.get().revoked_at is not None
    assert last_event().action == "auth.logout"


def test_a_link_to_the_logout_ends_nothing(client: Client, viewer: User) -> None:
    client.force_login(viewer)

    assert client.get("/admin/logout/").status_code == 405

    assert is_inside(client)


def test_a_revoked_session_is_out_with_the_next_page(client: Client, admin: User) -> None:
    log_in(client, admin)
    session = Session.objects.get()

    ApiClient(admin).delete(f"/api/v1/security/sessions/{session.pk}")

    assert not is_inside(client)


@pytest.mark.parametrize("end", ["disabled", "password", "expired"])
def test_what_ends_sessions_ends_those_of_browsers(client: Client, viewer: User, end: str) -> None:
    log_in(client, viewer)
    if end == "disabled":
        User.objects.filter(pk=viewer.pk).update(is_active=False)
    elif end == "expired":
        Session.objects.update(expires_at=clock.now())
    else:
        sessions.revoke_all(user=viewer, actor=make_actor(viewer), now=clock.now())

    assert not is_inside(client)


def test_an_idle_browser_is_logged_out_and_a_busy_one_is_not(client: Client, viewer: User) -> None:
    log_in(client, viewer)
    now = clock.now()

    for minutes, alive in ((29, True), (58, True), (88, False), (89, False)):
        seen = console.see(
            session_id=Session.objects.get().pk,
            ip_address=None,
            now=now + timedelta(minutes=minutes),
        )
        assert (seen is not None) is alive, minutes
    assert Session.objects.get().revoked_at is not None


def test_a_page_costs_one_query_to_know_whose_it_is(client: Client, viewer: User) -> None:
    log_in(client, viewer)
    session = Session.objects.get()

    seen = console.see(session_id=session.pk, ip_address=None, now=clock.now())

    assert seen is not None
    assert seen.user.has_perm("task.read")
    assert not seen.user.has_perm("task.edit")


def test_a_stranger_to_the_second_factor_is_led_to_it(client: Client, viewer: User) -> None:
    preferences.change(
        organization_id=viewer.organization_id,
        values={"security.mfa_required": True, "security.mfa_grace_period_hours": 0},
        actor=make_actor(viewer),
        now=clock.now() - timedelta(hours=1),
    )
    User.objects.update(created_at=clock.now() - timedelta(hours=1))
    log_in(client, viewer)

    assert client.get("/admin/")["Location"] == "/admin/account/"
    assert client.get("/admin/tasks/task/")["Location"] == "/admin/account/"
    page = client.get("/admin/account/").content.decode()
    assert "Your organization asks for a second factor." in page
    assert client.post("/admin/account/key-make/", {}).status_code == 302


@pytest.mark.parametrize("cookie", ["", "x" * 32, "\x00"])
def test_a_cookie_of_nobody_leads_to_the_login(db: None, cookie: str) -> None:
    client = Client()
    client.cookies["sessionid"] = cookie

    assert client.get("/admin/")["Location"].startswith(LOGIN)
