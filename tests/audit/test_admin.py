"""The console's page of the audit chain."""

from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from audit import operations
from audit.models import AuditCheckpoint, AuditEvent
from kernel import clock
from tests.accounts.factories import make_actor
from tests.audit.conftest import Tamper

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


def found(client: Client, **query: str) -> list[AuditEvent]:
    answer = client.get(reverse(LIST), query)
    assert answer.status_code == 200
    return list(answer.context["cl"].result_list)


def test_events_are_filtered_by_exact_values(client: Client, admin: User) -> None:
    wanted = record(admin)
    other = record(admin, "knowledge.delete")
    client.force_login(admin)
    me, task = f"user:{admin.pk}", f"task:{admin.pk}"

    assert found(client, q="task.create") == found(client, q=str(wanted.pk)) == [wanted]
    assert found(client, action="task.create") == [wanted]
    assert found(client, actor=me, resource=task) == [other, wanted]
    assert found(client, actor=f"user:{uuid4()}") == found(client, resource="task") == []
    assert found(client, status__exact="denied", actor=me) == []
    assert found(client, request_id="nowhere") == []
    assert client.get(reverse(LIST), {"resource_id": str(admin.pk)}).status_code == 400


def test_a_resource_leads_to_its_history(client: Client, admin: User) -> None:
    event = record(admin)
    client.force_login(admin)

    page = client.get(reverse("admin:audit_auditevent_change", args=[event.pk])).content.decode()

    assert f'href="{reverse(LIST)}?resource=task%3A{admin.pk}"' in page


def verify(client: Client, first: str = "") -> list[tuple[str, str]]:
    form = {"first": first, "_form_submitted": "on"}
    answer = client.post(reverse("admin:audit_auditevent_verify_chain"), form, follow=True)
    return [(message.level_tag, message.message) for message in answer.context["messages"]]


def test_the_chain_is_verified_at_a_click(client: Client, viewer: User) -> None:
    record(viewer)
    operations.seal_events(now=clock.now())
    client.force_login(viewer)

    (level, said), *_ = verify(client)

    assert level == "success"
    assert said == ("Rows 1 to 1 are whole; 1 checkpoints among them have a good signature.")
    assert AuditEvent.objects.filter(action="audit.verify", actor_id=str(viewer.pk)).exists()


@pytest.mark.django_db(transaction=True)
def test_a_fault_is_shown(client: Client, viewer: User, tamper: Tamper) -> None:
    event = record(viewer)
    operations.seal_events(now=clock.now())
    tamper(f"UPDATE audit_auditevent SET action = 'x' WHERE id = '{event.pk}'")
    client.force_login(viewer)

    (level, said), *_ = verify(client, first="1")

    assert level == "error"
    assert said.startswith(f"Row {event.pk} at position 1 does not match its hash")


def test_a_place_beyond_the_end_is_refused_in_the_dialog(client: Client, viewer: User) -> None:
    client.force_login(viewer)
    form = {"first": "99", "_form_submitted": "on"}

    answer = client.post(reverse("admin:audit_auditevent_verify_chain"), form)

    assert "The chain ends before it." in answer.content.decode()


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.django_db(transaction=True)
def test_a_checkpoint_says_whether_it_is_genuine(
    client: Client, viewer: User, tamper: Tamper, *, broken: bool
) -> None:
    record(viewer)
    operations.seal_events(now=clock.now())
    if broken:
        tamper("UPDATE audit_auditcheckpoint SET signature = 'x'")
    client.force_login(viewer)

    pk = AuditCheckpoint.objects.get().pk
    page = client.get(reverse("admin:audit_auditcheckpoint_change", args=[pk])).content.decode()

    assert ("forged, or by a key" in page) is broken
