"""What rows are called, how lists are narrowed, and what is told to who lacks a second factor."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import ApiKey, RoleAssignment, Session, User
from audit import operations as audit
from audit.models import AuditEvent
from audit.selectors import events
from kernel import clock
from kernel.actors import Actor
from tests.accounts.factories import enrol, make_actor, make_key, make_token, set_policy
from tests.agents.factories import make_agent
from tests.hub.console_rows import address, list_address

FIREFOX: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HOUR: Final = timedelta(hours=1)


@pytest.fixture
def console(client: Client, admin: User) -> Client:
    """An administrator's browser."""
    client.force_login(admin)
    return client


def shown(console: Client, model: type[Model], **query: str) -> list[Any]:
    """The rows of a list."""
    return list(console.get(list_address(model), query).context["cl"].result_list)


def title(console: Client, row: Model) -> str:
    page = console.get(address(type(row), row.pk)).content.decode()
    return " ".join(page.partition("<title>")[2].partition("</title>")[0].split())


def test_titles_name_people_and_devices(console: Client, viewer: User) -> None:
    make_token(viewer)
    Session.objects.filter(user=viewer).update(user_agent=FIREFOX)
    session, assignment = Session.objects.get(user=viewer), viewer.assignments.get()

    assert title(console, session) == f"{viewer.email}, Firefox on Linux | Session | Agent Hub"
    held = f"viewer for {viewer.email} | Role assignment | Agent Hub"
    assert title(console, assignment) == held
    assert "Firefox on Linux" in console.get(list_address(Session)).content.decode()


def test_a_page_of_assignments_reads_no_row_by_itself(console: Client, viewer: User) -> None:
    path = address(RoleAssignment, viewer.assignments.get().pk)
    console.get(path)

    with CaptureQueriesContext(connection) as seen:
        console.get(path)

    assert not [q for q in seen.captured_queries if 'FROM "accounts_role" WHERE' in q["sql"]]


def test_sessions_are_narrowed_by_their_state(console: Client, viewer: User) -> None:
    for _ in range(3):
        make_token(viewer)
    revoked, expired, alive = Session.objects.filter(user=viewer).order_by("pk")
    Session.objects.filter(pk=revoked.pk).update(revoked_at=clock.now())
    Session.objects.filter(pk=expired.pk).update(expires_at=clock.now() - HOUR)

    assert alive in shown(console, Session, state="alive")
    assert not {revoked, expired} & {*shown(console, Session, state="alive")}
    assert {*shown(console, Session, state="ended")} == {revoked, expired}
    assert len(shown(console, Session)) == 4


def test_keys_are_narrowed_by_their_state(console: Client, admin: User) -> None:
    past = clock.now() - HOUR
    make_key(admin, "read", name="alive")
    make_key(admin, "read", name="lasting", expires_at=clock.now() + HOUR)
    make_key(admin, "read", name="expired", expires_at=past)
    make_key(admin, "read", name="revoked", expires_at=past, revoked_at=past)

    for state, names in {
        "alive": {"alive", "lasting"},
        "expired": {"expired"},
        "revoked": {"revoked"},
    }.items():
        assert {key.name for key in shown(console, ApiKey, state=state)} == names


def record(user: User, action: str, resource: tuple[str, object], **actor: str) -> AuditEvent:
    by = Actor(organization_id=user.organization_id, **actor) if actor else make_actor(user)  # type: ignore[arg-type]
    audit.record(
        actor=by,
        organization_id=user.organization_id,
        action=action,
        resource_type=resource[0],
        resource_id=resource[1],
        now=clock.now(),
    )
    return AuditEvent.objects.latest("pk")


def test_every_action_that_happened_is_offered(
    console: Client, admin: User, stranger: User
) -> None:
    for _ in range(3):
        record(admin, "task.create", ("task", ""))
    record(admin, "agent.start", ("agent", ""))
    record(stranger, "secret.reveal", ("secret", ""))

    found = events.list_actions(organization_id=admin.organization_id)
    narrowed = shown(console, AuditEvent, action="task.create")

    assert {"agent.start", "task.create"} <= {*found}
    assert "secret.reveal" not in found
    assert found == sorted({*found})
    assert {event.action for event in narrowed} == {"task.create"}
    assert "?action=agent.start" in console.get(list_address(AuditEvent)).content.decode()


def test_resources_are_named_with_a_link_while_they_are_there(
    console: Client, admin: User, stranger: User
) -> None:
    agent, foreign = make_agent(admin.organization), make_agent(stranger.organization)
    kept = record(admin, "agent.test", ("agent", agent.pk))
    gone = record(admin, "agent.test", ("agent", foreign.pk))
    odd = record(admin, "agent.test", ("agent", "no-id"))

    rows = {row.pk: row.resource_name for row in shown(console, AuditEvent, action="agent.test")}
    page = console.get(address(AuditEvent, kept.pk)).content.decode()

    assert rows == {kept.pk: agent.name, gone.pk: "", odd.pk: ""}
    assert f'href="{address(type(agent), agent.pk)}"' in page
    assert f"agent {agent.name}" in page
    assert f"resource=agent%3A{agent.pk}" in page
    assert title(console, kept) == f"agent.test by {admin.email} | Audit event | Agent Hub"


def test_nobody_reads_the_name_of_what_they_may_not_see(
    client: Client, admin: User, viewer: User
) -> None:
    make_key(admin, "read", name="Secret project")
    event = record(admin, "agent.test", ("api_key", ApiKey.objects.get().pk))
    client.force_login(viewer)

    listed = client.get(list_address(AuditEvent), {"action": "agent.test"}).content.decode()
    page = client.get(address(AuditEvent, event.pk)).content.decode()

    assert "Secret project" not in listed + page
    assert address(ApiKey, ApiKey.objects.get().pk) not in listed + page


@pytest.mark.parametrize(
    ("actor", "words"),
    [
        ({"type": "system", "label": "system"}, "system"),
        ({"type": "system", "id": "host:17", "label": "host:17"}, "system (worker host:17)"),
        ({"type": "system", "id": "worker", "label": "host:17"}, "system (worker host:17)"),
        ({"type": "anonymous", "ip_address": "192.0.2.7"}, "anonymous from 192.0.2.7"),
        ({"type": "anonymous"}, "anonymous"),
        ({"type": "key", "id": "1", "label": "CI of ada@example.com"}, "CI of ada@example.com"),
    ],
)
def test_actors_are_called_what_they_are(
    console: Client, admin: User, actor: dict[str, str], words: str
) -> None:
    event = record(admin, "agent.test", ("agent", ""), **actor)

    listed = console.get(list_address(AuditEvent), {"action": "agent.test"}).content.decode()
    page = console.get(address(AuditEvent, event.pk)).content.decode()

    assert f">{words}<" in "".join(part.strip() for part in listed.splitlines())
    assert words in page


def test_the_api_has_no_link_that_would_lead_to_a_refusal(console: Client, admin: User) -> None:
    page = console.get(address(User, admin.pk)).content.decode()

    assert f'data-copy="/api/v1/admin/users/{admin.pk}/"' in page
    assert 'href="/api/v1/' not in page


class TestGrace:
    """Somebody must have a second factor soon."""

    @pytest.fixture
    def banner(self, console: Client) -> Callable[[], bool]:
        """Whether the front page and a list say so."""

        def is_shown() -> bool:
            pages = [console.get(path) for path in ("/admin/", list_address(User))]
            found = {b'id="mfa-due"' in page.content for page in pages}
            assert len(found) == 1
            return found.pop()

        return is_shown

    def test_nothing_is_said_where_none_is_needed(self, banner: Callable[[], bool]) -> None:
        assert not banner()

    def test_it_is_said_until_one_is_set_up(
        self, console: Client, admin: User, banner: Callable[[], bool]
    ) -> None:
        set_policy(admin.organization, mfa_required=True)
        due = clock.now() + timedelta(hours=72)

        page = console.get("/admin/").content.decode()
        assert banner()
        assert f"Set up a second factor by {due:%Y-%m-%d %H:}" in page
        assert 'href="/admin/account/#mfa"' in page

        enrol(admin)
        assert not banner()

    def test_it_is_not_said_to_who_must_change_a_password_first(
        self, console: Client, admin: User
    ) -> None:
        set_policy(admin.organization, mfa_required=True)
        Session.objects.filter(user=admin).update(restriction="password")

        assert b'id="mfa-due"' not in console.get("/admin/account/").content
