"""The console's tool sources and tools."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from approvals.models import ApprovalRule
from tests.approvals.factories import make_rule
from tests.hub.console_rows import address, list_address
from tests.tools.factories import make_secret, make_source, make_tool
from tools.models import CatalogTool, ToolSource

pytestmark = pytest.mark.django_db
SUBMITTED = {"_form_submitted": "on"}
FORM = {
    "url": "https://tools.example.com",
    "command": "",
    "server_url": "",
    "headers": "X-Key: {secret:weather_key}\nX-Other: a: b",
    "include": "get_*\n\nput_a",
    "exclude": "",
    "refresh_seconds": "60",
}


@pytest.fixture
def console(client: Client, admin: User) -> Client:
    """An administrator's browser."""
    client.force_login(admin)
    return client


def test_a_source_is_made_changed_and_removed(console: Client, organization: Organization) -> None:
    make_secret(organization)
    page = reverse("admin:tools_toolsource_create_source")
    new = {**SUBMITTED, **FORM, "name": "weather", "kind": "service"}

    wrong = console.post(page, {**new, "headers": "nonsense"})
    refused = console.post(page, {**new, "url": "ftp://x"})
    console.post(page, new)
    source = ToolSource.objects.get()
    change = address(ToolSource, source.pk, "change_source")
    shown = console.get(change).content.decode()
    console.post(change, {**SUBMITTED, **FORM, "include": "", "refresh_seconds": "90"})
    source.refresh_from_db()

    assert "Write each as name: value." in wrong.content.decode()
    assert "absolute http or https address" in refused.content.decode()
    assert source.headers == {"X-Key": "{secret:weather_key}", "X-Other": "a: b"}
    assert 'value="60"' in shown
    assert "X-Other: a: b" in shown
    assert (source.include, source.refresh_seconds, source.revision) == ([], 90, 2)
    console.post(address(ToolSource, source.pk, "delete_source"), SUBMITTED)
    assert not ToolSource.objects.exists()


def test_a_source_is_refreshed_and_switched(console: Client, organization: Organization) -> None:
    source = make_source(organization)
    ToolSource.objects.update(next_refresh_at=None, last_error="HTTP 503.", is_stale=True)

    console.post(address(ToolSource, source.pk, "refresh_source"), SUBMITTED)
    source.refresh_from_db()
    asked = source.next_refresh_at
    board = console.get(list_address(ToolSource)).content.decode()
    console.post(address(ToolSource, source.pk, "disable_source"), SUBMITTED)
    off = console.get(list_address(ToolSource)).content.decode()
    console.post(address(ToolSource, source.pk, "enable_source"), SUBMITTED)
    source.refresh_from_db()

    assert asked is not None
    assert "HTTP 503." in board
    assert ">Stale<" in board
    assert ">Disabled<" in off
    assert source.is_enabled


def test_a_policy_is_set_in_a_dialog(console: Client, organization: Organization) -> None:
    tool = make_tool(make_source(organization))
    change = address(CatalogTool, tool.pk, "change_policy")
    policy = {
        "side_effect": "declared",
        "is_idempotent": "yes",
        "needs_approval": "yes",
        "timeout_seconds": "7",
        "output_limit_bytes": "1000",
    }

    shown = console.get(change).content.decode()
    console.post(change, {**SUBMITTED, **policy})
    console.post(address(CatalogTool, tool.pk, "disable_tool"), SUBMITTED)

    tool.refresh_from_db()
    assert 'value="30"' in shown
    assert (tool.side_effect, tool.is_idempotent, tool.needs_approval) == (None, True, True)
    assert (tool.timeout_seconds, tool.output_limit_bytes) == (7, 1000)
    assert not tool.is_enabled
    console.post(address(CatalogTool, tool.pk, "enable_tool"), SUBMITTED)
    tool.refresh_from_db()
    assert tool.is_enabled


def test_a_source_names_its_secrets_and_leads_to_its_tools(
    console: Client, organization: Organization
) -> None:
    make_secret(organization)
    headers = {"X-Key": "{secret:weather_key}", "X-Other": "quiet"}
    source, other = make_source(organization, headers=headers), make_source(organization, name="b")
    tool = make_tool(source)
    make_tool(other)

    page = console.get(address(ToolSource, source.pk)).content.decode()
    listed = console.get(list_address(CatalogTool), {"source": str(source.pk)})

    assert "X-Key (secret weather_key), X-Other" in page
    assert "quiet" not in page
    assert f"{list_address(CatalogTool)}?source={source.pk}" in page
    assert [row.pk for row in listed.context["cl"].result_list] == [tool.pk]


def test_a_tool_names_its_approval_rule(console: Client, organization: Organization) -> None:
    rule = make_rule(organization, name="Two eyes")
    tool = make_tool(make_source(organization), approval_rule_id=rule.pk)

    page = console.get(address(CatalogTool, tool.pk)).content.decode()

    assert f'{address(ApprovalRule, rule.pk)}">Two eyes</a>' in page
