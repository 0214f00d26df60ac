"""A run whose agent has a tool of a real MCP server."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from accounts.models import Organization
from agents.models import ExecutionStep
from approvals.models import Approval
from kernel import clock
from tasks.choices import TaskStatus
from tests.accounts.factories import make_user
from tests.agents.factories import make_agent
from tests.approvals.factories import approve
from tests.peers.mcp_server import mcp_site
from tests.peers.script import Answer, Step
from tests.peers.tool_service import tool_service
from tests.tasks.factories import claim_one, make_task
from tests.tasks.scripted import answering, finish
from tests.tools.factories import make_secret, make_source, make_tool, refresh
from tools.models import CatalogTool

pytestmark = pytest.mark.django_db(transaction=True)
CALL = ("POST", "/api/mcp-tools/call")
CANARY = "canary-5fe1c0"
TABLES = (
    *("agents_agentexecution", "agents_executionstep", "tasks_task", "audit_auditevent"),
    *("events_outboxevent", "tools_toolsource", "tools_catalogtool", "secrets_vault_secretversion"),
)


def test_the_model_calls_it_and_nothing_keeps_the_secret(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_secret(organization, value=CANARY)
    steps: list[Step] = [
        Answer(tool_calls=(("weather_forecast", {"city": 7}),)),
        Answer(tool_calls=(("weather_forecast", {"city": "Oslo"}),)),
        Answer(tool_calls=(("weather_note", {"text": "rain"}),)),
        Answer(text="Clear."),
    ]
    with mcp_site() as site, answering(monkeypatch, lambda _body: steps.pop(0)) as model:
        headers = {"Authorization": "Bearer {secret:weather_key}"}
        refresh(make_source(organization, kind="mcp", url=site.url, headers=headers))
        agent = make_agent(
            organization,
            llm_provider="openai",
            llm_model="gpt-4o",
            enabled_tools=["weather:forecast", "weather:note", "calculator"],
        )
        task = finish(claim_one(make_task(organization, agent=agent)))

    offered = [tool["function"]["name"] for tool in model.requests[0].body["tools"]]
    calls = ExecutionStep.objects.exclude(tool="").order_by("ordinal")
    assert (task.status, task.result) == (TaskStatus.COMPLETED, "Clear.")
    assert offered == ["weather_forecast", "weather_note", "calculator"]
    assert [step.tool for step in calls] == ["weather:forecast", "weather:forecast", "weather:note"]
    assert "The arguments do not fit" in calls[0].error
    assert calls[1].result == {"city": "Oslo", "days": 1, "sky": "clear"}
    assert (calls[2].result, site.calls) == ("noted: rain", ["forecast", "note"])
    assert site.headers[-1]["authorization"] == f"Bearer {CANARY}"
    assert CANARY not in str([request.body for request in model.requests])
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t")
            assert CANARY not in cursor.fetchone()[0], table


@pytest.mark.parametrize("change", [{}, {"binding": {"name": "delete_all"}}], ids=["same", "other"])
def test_what_is_approved_is_the_tool_as_it_was_asked_for(
    organization: Organization, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    steps: list[Step] = [
        Answer(tool_calls=(("weather_forecast", {"city": "Oslo"}),)),
        Answer(text="Clear."),
    ]
    with tool_service() as service, answering(monkeypatch, lambda _body: steps.pop(0)):
        service.put(*CALL, {"sky": "clear"})
        make_tool(make_source(organization, url=service.url), needs_approval=True)
        agent = make_agent(
            organization,
            llm_provider="openai",
            llm_model="gpt-4o",
            enabled_tools=["weather:forecast"],
        )
        task = make_task(organization, agent=agent)
        finish(claim_one(task))
        CatalogTool.objects.update(**change, updated_at=clock.now())
        approve(Approval.objects.get(), make_user(organization))
        ended = finish(claim_one(task, now=clock.now() + timedelta(seconds=1)))

    if change:
        assert (ended.status, service.asked) == (TaskStatus.REVIEW, [])
        assert Approval.objects.filter(status="pending", used_at=None).count() == 1
    else:
        assert (ended.result, len(service.asked)) == ("Clear.", 1)
