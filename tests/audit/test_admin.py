"""The console's page of the audit chain."""

from django.test import Client
from django.urls import reverse

from accounts.models import User
from audit import operations
from audit.models import AuditEvent
from kernel import clock
from tests.accounts.factories import make_actor

LIST = "admin:audit_auditevent_changelist"


def record(user: User, action: str = "task.create", **details: object) -> AuditEvent:
    operations.record(
        actor=make_actor(user),
        organization_id=user.organization_id,
        action=action,
        resource_type="task",
        resource_id=user.pk,
        details=details,
        now=clock.now(),
    )
    return AuditEvent.objects.latest("pk")


def test_an_event_shows_its_details_and_that_it_is_not_sealed(client: Client, admin: User) -> None:
    event = record(admin, title="A <b>", tags=["x"])
    client.force_login(admin)

    page = client.get(reverse("admin:audit_auditevent_change", args=[event.pk])).content.decode()

    assert "&quot;title&quot;: &quot;A &lt;b&gt;&quot;" in page
    assert "not sealed yet" in page
    assert admin.email in page


def test_events_are_filtered_by_what_they_are_about(client: Client, admin: User) -> None:
    wanted = record(admin)
    record(admin, "knowledge.delete")
    client.force_login(admin)

    for query in ({"q": "task.create"}, {"q": str(wanted.pk)}):
        found = client.get(reverse(LIST), query).context["cl"].result_list
        assert [event.pk for event in found] == [wanted.pk]
    about = client.get(reverse(LIST), {"resource_id": str(admin.pk)}).context["cl"].result_list
    assert len(about) == 2
