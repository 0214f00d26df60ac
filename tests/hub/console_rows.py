"""A row of every kind that the console has a page for, written by the operations."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.test import RequestFactory
from django.urls import reverse

from accounts.models import AgentKey, ApiKey, Organization, Role, RoleAssignment, Session, User
from accounts.operations import sessions
from agents.models import Agent, AgentExecution, AgentOverride
from agents.operations import executions, model_turns
from agents.runtime.journal import ModelTurn, ToolCall, ToolResult
from agents.runtime.spec import Usage
from approvals.models import Approval, ApprovalRule
from audit import operations as audit
from audit.models import AuditCheckpoint, AuditEvent
from breakers.models import CircuitBreaker
from cost.models import Budget, ModelPrice, UsageRecord
from dead_letters.models import DeadLetter
from events.models import OutboxEvent
from kernel import clock
from kernel.admin import ConsoleAdmin
from knowledge.models import KnowledgeEntry
from limits.models import LimitRule
from memory.models import Memory
from projects.models import Environment, Project
from secrets_vault.models import Secret
from tasks.models import Task
from tasks.operations import endings
from tests.accounts.factories import make_actor
from tests.agents.factories import answered, make_agent, make_override
from tests.approvals.factories import ask, make_rule
from tests.breakers.factories import make_breaker
from tests.cost.factories import make_budget, make_price
from tests.dead_letters.factories import make_dead
from tests.knowledge import factories as knowledge
from tests.limits.factories import make_limit
from tests.memory.factories import make_memory
from tests.projects.factories import make_environment, make_project
from tests.tasks.factories import claim_one, make_task
from tests.tools.factories import make_secret, make_source, make_tool, use_secret
from tools.models import CatalogTool, ToolSource

# The models that have a page, each registered with the site.
PAGES: tuple[type[Model], ...] = (
    Organization,
    User,
    Role,
    RoleAssignment,
    Session,
    ApiKey,
    AgentKey,
    Agent,
    AgentOverride,
    AgentExecution,
    Task,
    KnowledgeEntry,
    Memory,
    Project,
    Environment,
    CircuitBreaker,
    LimitRule,
    ToolSource,
    CatalogTool,
    Secret,
    Approval,
    ApprovalRule,
    DeadLetter,
    UsageRecord,
    Budget,
    ModelPrice,
    AuditEvent,
    AuditCheckpoint,
    OutboxEvent,
)


@dataclass(frozen=True, slots=True)
class Finished:
    """A task that ran to its end."""

    agent: Agent
    task: Task


def finish_task(
    organization: Organization,
    *,
    agent: Agent | None = None,
    now: datetime | None = None,
    text: str = "Forty-two.",
    provider: str = "demo",
    **values: Any,
) -> Finished:
    """A task with one attempt: a model turn, a tool call that gives `text`, and that as answer."""
    now = now or clock.now()
    agent = agent or make_agent(organization)
    claim = claim_one(make_task(organization, agent=agent, now=now, **values), now=now)
    execution = claim.execution
    turn = ModelTurn(
        ordinal=1,
        provider=provider,
        model="gpt-4o" if provider == "openai" else "demo",
        text=text,
        tool_calls=(),
        usage=Usage(input_tokens=1_000_000, output_tokens=100_000),
        finish_reason="tool_call",
        duration_ms=1200,
        message={},
    )
    model_turns.record_turn(execution=execution, ordinal=0, turn=turn, now=now)
    call = ToolCall(id="1", tool="calculator", arguments={"expression": text})
    step = executions.record_tool_call(execution=execution, ordinal=1, call=call, now=now)
    result = ToolResult(
        id="1", tool="calculator", result={"said": text}, error=None, duration_ms=3, message={}
    )
    executions.record_tool_result(execution=execution, step_id=step.pk, result=result, now=now)
    task = endings.settle_attempt(claim=claim, result=answered(text), now=now)
    return Finished(agent, task)


def fill(user: User, *, text: str = "Forty-two.") -> Finished:
    """A row for every page, in the organization of `user`."""
    knowledge.entry(user.organization, title=f"Entry {text}", content=text)
    sessions.issue_tokens(user=user, actor=make_actor(user), now=clock.now())
    ApiKey.objects.create(
        organization=user.organization,
        user=user,
        name="Key",
        prefix="ahk_1",
        key_hash=str(user.pk),
        scopes=["read"],
    )
    AgentKey.objects.create(
        organization=user.organization, name="Key", prefix="hubk_1", key_hash=str(user.pk)
    )
    make_environment(make_project(user.organization), name=f"Environment {text}")
    make_breaker(user.organization, name=f"host:{user.pk}")
    make_limit(user.organization, name=str(user.pk), max_concurrent=7)
    use_secret(make_secret(user.organization, name=f"secret-{user.pk}", description=text))
    make_tool(make_source(user.organization, name=f"s{user.pk.hex}"), description=text)
    make_price(user.organization, model=f"model-{user.pk}")
    rule = make_rule(user.organization, description=text)
    ask(user.organization, arguments={"said": text}, rule_id=rule.pk, actor=make_actor(user))
    make_dead(user.organization, title=f"Dead {text}", message=text)
    audit.seal_events(now=clock.now())
    agent = make_agent(user.organization, system_prompt=text, description=text)
    make_budget(user.organization, scope="agent", subject_id=agent.pk)
    make_override(user.organization, system_prompt=text)
    make_memory(agent, content=text)
    return finish_task(user.organization, agent=agent, text=text, title=f"Title {text}")


def page_of(model: type[Model]) -> ConsoleAdmin:
    """The registered page of a model."""
    found = admin.site.get_model_admin(model)
    assert isinstance(found, ConsoleAdmin)
    return found


def row_of(model: type[Model], viewer: User) -> Model:
    """The newest row that `viewer` may see of it."""
    request = RequestFactory().get("/")
    request.user = viewer
    page = page_of(model)
    row: Model | None = page.get_queryset(request).order_by(*page.ordering).first()
    assert row is not None
    return row


def list_address(model: type[Model]) -> str:
    """Where the list of a model is."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def address(model: type[Model], pk: object, page: str = "change") -> str:
    """Where one row is, or one of its buttons."""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=[pk])
