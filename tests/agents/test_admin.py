"""The console's pages of agents and overrides: what each version changed, and the buttons."""

from typing import Any

import pytest
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from accounts.models import User
from agents.models import Agent, AgentOverride
from agents.operations import registry
from kernel import clock
from tests.agents.factories import PERSON, make_agent, make_override
from tests.hub.console_rows import address, list_address

SUBMITTED = {"_form_submitted": "on"}
SHOWN = ("provider", "selected_tools", "guardrails", "temperature", "enabled")


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


def press(client: Client, row: Model, button: str, **values: Any) -> Any:
    """A button on an object's page, its dialog filled in with `values`."""
    page = address(type(row), row.pk, button)
    return client.post(page, {**SUBMITTED, **values})


def make(client: Client, **values: Any) -> str:
    """The button above the list of overrides; what the dialog says then."""
    page = reverse("admin:agents_agentoverride_create_override")
    return client.post(page, {**SUBMITTED, **values}).content.decode()


def test_a_version_is_rolled_back_to(client: Client, operator: User) -> None:
    agent = make_agent(operator.organization, max_tokens=1)
    registry.update_agent(
        organization_id=agent.organization_id,
        agent_id=agent.pk,
        values={"max_tokens": 2},
        actor=PERSON,
        now=clock.now(),
    )
    client.force_login(operator)

    dialog = client.get(address(Agent, agent.pk, "roll_back")).content.decode()
    press(client, agent, "roll_back", number="1")

    agent.refresh_from_db()
    assert "1, of" in dialog
    assert "2, of" not in dialog
    assert agent.current_version is not None
    assert (agent.current_version.number, agent.current_version.max_tokens) == (3, 1)


def test_an_override_is_made_changed_switched_and_deleted(client: Client, admin: User) -> None:
    client.force_login(admin)
    make_agent(admin.organization, name="Ada")
    tools = {"tools_are": "these", "tools": ["calculator"]}
    values = {
        "agent_name": "Ada",
        "enabled": "on",
        "provider": "openai",
        "timeout": "5000",
        **tools,
    }

    make(client, **values)
    override = AgentOverride.objects.get()
    press(client, override, "disable")
    press(client, override, "change_override", tools_are="none", temperature="0")
    press(client, override, "roll_back", number="1")
    press(client, override, "disable")
    press(client, override, "enable")
    gone = press(client, override, "delete_override")

    kept = [
        tuple(revision.values[name] for name in SHOWN)
        for revision in override.revisions.order_by("number")
    ]
    assert kept == [
        ("openai", ["calculator"], {"timeout": 5000}, None, True),
        ("openai", ["calculator"], {"timeout": 5000}, None, False),
        (None, [], None, 0.0, False),
        ("openai", ["calculator"], {"timeout": 5000}, None, True),
        ("openai", ["calculator"], {"timeout": 5000}, None, False),
        ("openai", ["calculator"], {"timeout": 5000}, None, True),
    ]
    override.refresh_from_db()
    assert override.deleted_at is not None
    assert gone["Location"] == list_address(AgentOverride)


def test_a_refused_override_says_why(client: Client, admin: User) -> None:
    make_override(admin.organization, "Ada")
    client.force_login(admin)

    taken = make(client, other_name="Ada")
    unknown = make(client, other_name="Bob", tools_are="these", tools=["no_such"])
    unclear = make(client, other_name="Bob", tools=["calculator"])
    nameless = make(client)

    assert "There is an override for this agent." in taken
    assert "no_such is not one of the available choices" in unknown
    assert "or untick the tools" in unclear
    assert "Choose an agent, or give a name below." in nameless
    assert AgentOverride.objects.count() == 1


def test_an_agent_is_disabled_and_enabled_on_its_page(client: Client, admin: User) -> None:
    agent = make_agent(admin.organization, name="Ada")
    client.force_login(admin)

    press(client, agent, "disable_agent")
    off = client.get(address(Agent, agent.pk)).content.decode()
    listed = client.get(list_address(Agent)).content.decode()
    index = client.get(reverse("admin:index")).content.decode()
    press(client, agent, "enable_agent")
    on = client.get(address(Agent, agent.pk)).content.decode()

    for shown in (off, listed):
        assert 'data-status="disabled">Disabled' in shown
        assert 'data-status="idle"' not in shown
    assert f"{list_address(AgentOverride)}?enabled__exact=0" in index
    assert 'data-status="idle">Idle' in on
    assert "Enable agent" in off
    assert "Enable agent" not in on
    assert AgentOverride.objects.get().enabled


def test_an_override_without_an_agent_is_marked(client: Client, viewer: User) -> None:
    agent = make_agent(viewer.organization, name="Ada")
    make_override(viewer.organization, "Ada")
    make_override(viewer.organization, "Bob")
    client.force_login(viewer)

    page = client.get(list_address(AgentOverride)).content.decode()

    assert page.count("no such agent") == 1
    assert address(Agent, agent.pk) in page


def test_whoever_may_only_look_gets_no_buttons(client: Client, operator: User) -> None:
    override = make_override(operator.organization, "Ada")
    client.force_login(operator)

    page = client.get(address(AgentOverride, override.pk))
    refused = press(client, override, "disable")

    override.refresh_from_db()
    assert "Disable agent" not in page.content.decode()
    assert (refused.status_code, override.enabled) == (403, True)


@pytest.mark.parametrize(
    ("enabled", "words"), [(True, "Overridden"), (False, "Disabled by an override")]
)
def test_an_agents_page_says_what_counts_instead(
    client: Client, viewer: User, enabled: object, words: str
) -> None:
    agent = make_agent(viewer.organization, name="Ada")
    client.force_login(viewer)
    before = client.get(address(Agent, agent.pk)).content.decode()

    override = make_override(viewer.organization, "Ada", enabled=enabled)

    page = client.get(address(Agent, agent.pk)).content.decode()
    assert words in page
    assert address(AgentOverride, override.pk) in page
    assert words not in before
