"""What is as it was leaves no trace; and what the hub does by itself leaves one."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest

from accounts.clients import stamps
from accounts.models import Organization, Role, RoleAssignment, Session, User
from accounts.operations import console, roles
from audit.models import AuditEvent
from kernel import clock, permissions
from kernel.permissions import Permission
from tests.accounts.factories import enter_console, make_user
from tests.clients import ApiClient
from tests.footprint import footprint
from tests.projects.factories import make_project

pytestmark = pytest.mark.django_db(transaction=True)
Api = Callable[[User | None], ApiClient]
RULE: Final = {"cidr": "203.0.113.0/24", "action": "deny", "description": "Theirs"}
ROLE: Final = {"name": "support", "description": "Looks.", "permissions": ["task.read"]}


@pytest.mark.parametrize(
    "request_",
    [
        ("patch", "/admin/users/{viewer}", {"full_name": "The viewer", "is_active": True}),
        ("patch", "/admin/users/{viewer}", {"role": "viewer"}),
        ("patch", "/admin/users/{viewer}", {}),
        ("patch", "/roles/{role}", ROLE),
        ("patch", "/roles/{role}", {}),
        ("put", "/roles/{role}/permissions", {"permissions": ["task.read", "task.read"]}),
        ("put", "/auth/me", {"full_name": "The admin"}),
        ("put", "/security", {"session": {"max_duration_hours": 24}}),
        ("put", "/security", {"session": {"max_duration_hours": None}}),
        ("put", "/security/ip-rules", {"items": [RULE]}),
        ("put", "/settings/llm/default_model", {"value": "mine"}),
        ("put", "/projects/{project}/status", {"status": "active"}),
    ],
)
def test_the_same_again_writes_nothing_and_makes_nobody_be_read_anew(
    api: Api, admin: User, viewer: User, request_: tuple[str, str, dict[str, Any]]
) -> None:
    (method, path, body), client = request_, api(admin)
    role = client.post("/api/v1/roles", ROLE).json()["id"]
    client.put("/api/v1/security/ip-rules", {"items": [RULE]})
    client.put("/api/v1/security", {"session": {"max_duration_hours": 24}})
    if body == {"session": {"max_duration_hours": None}}:
        client.put("/api/v1/security", body)
    client.put("/api/v1/settings/llm/default_model", {"value": "mine"})
    project = make_project(admin.organization).pk
    client.known()
    before, stamp = footprint(), stamps.read(organization_id=admin.organization_id)

    answer = getattr(client, method)(
        f"/api/v1{path.format(viewer=viewer.pk, role=role, project=project)}", body
    )

    assert answer.status_code in {200, 204}, answer.content
    assert footprint() == before
    assert stamps.read(organization_id=admin.organization_id) == stamp


def test_only_what_differs_is_in_the_trail(api: Api, admin: User, viewer: User) -> None:
    body = {"full_name": "Ada", "is_active": True, "role": "viewer"}

    api(admin).patch(f"/api/v1/admin/users/{viewer.pk}", body)

    event = AuditEvent.objects.get(action="user.update")
    assert event.details == {"before": {"full_name": "The viewer"}, "after": {"full_name": "Ada"}}


def test_a_role_that_goes_names_each_holder_once(
    api: Api, organization: Organization, admin: User, viewer: User
) -> None:
    other = make_user(organization)
    role = Role.objects.create(organization=organization, name="support")
    for user, scope in ((viewer, {}), (viewer, {"environment": "dev"}), (other, {})):
        RoleAssignment.objects.create(organization=organization, user=user, role=role, scope=scope)

    assert api(admin).delete(f"/api/v1/roles/{role.pk}").status_code == 204

    details = AuditEvent.objects.get(action="role.delete").details
    assert details["holders"] == sorted([str(viewer.pk), str(other.pk)])
    assert details["holder_count"] == 2


def test_what_a_new_version_offers_is_in_the_trail(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Permission("novelty.read", "Novelties", "See them.", reads=True)
    known = {**permissions.catalogue(), fresh.key: fresh}
    monkeypatch.setattr(permissions, "catalogue", lambda: known)

    roles.offer_permissions(organization=organization, now=clock.now())

    events = AuditEvent.objects.filter(action="role.update").order_by("pk")
    assert [event.details for event in events] == [
        {"name": name, "added": ["novelty.read"]} for name in ("admin", "operator", "viewer")
    ]
    assert {event.actor_type for event in events} == {"system"}
    roles.offer_permissions(organization=organization, now=clock.now())
    assert events.count() == 3


def test_built_in_roles_were_not_changed_before_they_were_made(organization: Organization) -> None:
    times = Role.objects.filter(organization=organization).values_list("created_at", "updated_at")

    assert len(times) == 5
    assert all(made == changed for made, changed in times)


def test_a_session_that_was_idle_too_long_ends_once_in_the_trail(client: Any, viewer: User) -> None:
    session = enter_console(client, viewer)
    seen = clock.now() - timedelta(minutes=31)
    Session.objects.filter(pk=session.pk).update(last_seen_at=seen)

    for _ in range(2):
        assert console.see(session_id=session.pk, ip_address=None, now=clock.now()) is None

    event = AuditEvent.objects.get(action="session.idle_end")
    assert (event.resource_type, event.resource_id) == ("session", str(session.pk))
    assert event.details == {"user_id": str(viewer.pk), "last_seen_at": seen.isoformat()}
