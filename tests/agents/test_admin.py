"""The console's page of an agent: what each version changed."""

from django.test import Client
from django.urls import reverse

from accounts.models import User
from agents.operations import registry
from kernel import clock
from tests.agents.factories import PERSON, make_agent


def test_versions_show_what_changed_between_them(client: Client, viewer: User) -> None:
    agent = make_agent(viewer.organization, system_prompt="Be kind.", temperature=0.5)
    registry.update_agent(
        organization_id=agent.organization_id,
        agent_id=agent.pk,
        values={"system_prompt": "Be brief.", "enabled_tools": ["calculator"]},
        actor=PERSON,
        now=clock.now(),
    )
    client.force_login(viewer)

    page = client.get(reverse("admin:agents_agent_change", args=[agent.pk]))

    second, first = page.context["history"]
    assert second["changes"] == [
        {"field": "system_prompt", "before": "Be kind.", "after": "Be brief."},
        {"field": "enabled_tools", "before": "", "after": "calculator"},
    ]
    assert (second["version"].number, first["version"].number) == (2, 1)
    assert {"field": "temperature", "before": "", "after": "0.5"} in first["changes"]
    assert "<ins>Be brief.</ins>" in page.content.decode()


def test_a_demo_agent_is_named_as_what_it_is(client: Client, viewer: User) -> None:
    agent = make_agent(viewer.organization)
    client.force_login(viewer)

    one = client.get(reverse("admin:agents_agent_change", args=[agent.pk])).content.decode()
    many = client.get(reverse("admin:agents_agent_changelist")).content.decode()

    assert "Demo provider (offline, not a language model)" in one
    assert "Demo (offline)" in many


def test_a_deleted_agent_has_no_page(client: Client, viewer: User) -> None:
    agent = make_agent(viewer.organization, started=False)
    registry.delete_agent(
        organization_id=agent.organization_id, agent_id=agent.pk, actor=PERSON, now=clock.now()
    )
    client.force_login(viewer)

    assert client.get(reverse("admin:agents_agent_change", args=[agent.pk])).status_code == 302
