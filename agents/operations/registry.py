"""Creating, changing, starting, stopping and deleting agents (contract 003 B2)."""

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from threading import Lock
from typing import Any, Final, Protocol
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.selectors import people
from agents import selectors
from agents.choices import AGENT_TOOL, AgentStatus, AgentType
from agents.errors import (
    AgentHasRunningTasks,
    AgentIsOverridden,
    AgentNameTaken,
    AgentNotFound,
)
from agents.models import Agent, AgentVersion
from agents.models.agent import CONFIGURATION
from agents.operations import catalogue
from agents.runtime.providers import PROVIDERS
from audit import operations as audit
from cost.operations import budgets
from events import operations as events
from kernel.actors import Actor
from kernel.errors import Invalid
from preferences.selectors.values import read as read_settings


class Work(Protocol):
    """What a higher floor lets agents ask about their work; the agent's row is locked meanwhile."""

    def is_running(self, *, agent: Agent) -> bool:
        """Whether a run of the agent is in flight."""

    def take_up(self) -> None:
        """An agent works again: let what waited for it be claimed after the commit."""

    def give_back(self, *, agent: Agent, actor: Actor, now: datetime) -> int:
        """Return the agent's running work to its queue; the number of pieces."""


WORK: Final[list[Work]] = []
VERSIONS_KEPT: Final = 500
_loaded: Final[OrderedDict[UUID | None, AgentVersion]] = OrderedDict()
_loading: Final = Lock()


@transaction.atomic
def create_agent(
    *, organization_id: UUID, values: Mapping[str, Any], actor: Actor, now: datetime
) -> Agent:
    """Register an agent with its first version; it is offline until started.

    Raises AgentNameTaken, or Invalid for an unknown provider or tool.
    """
    configuration = _configuration(values, organization_id)
    _check(configuration, organization_id, own_name=values["name"])
    agent = Agent(
        organization_id=organization_id,
        agent_type=AgentType.DESIGN if actor.type == "system" else AgentType.DYNAMIC,
        **{k: v for k, v in values.items() if k not in CONFIGURATION},
    )
    _write_named(agent, force_insert=True)
    add_version(agent, configuration, actor, now)
    _record(agent, "agent.create", actor, now, {"name": agent.name})
    return agent


@transaction.atomic
def update_agent(
    *,
    organization_id: UUID,
    agent_id: UUID,
    values: Mapping[str, Any],
    actor: Actor,
    now: datetime,
) -> Agent:
    """Change an agent. A changed configuration makes a new version; runs in flight keep theirs.

    Raises AgentNotFound, AgentNameTaken, AgentIsOverridden, or Invalid.
    """
    agent = lock_agent(organization_id=organization_id, agent_id=agent_id)
    _check_name(agent, values.get("name", agent.name))
    version = version_of(agent)
    asked = _configuration(values, organization_id)
    changed = {k: v for k, v in asked.items() if getattr(version, k) != v}
    if changed:
        _check(changed, organization_id)
        add_version(agent, {**version.configuration(), **changed}, actor, now)
    plain = {k: v for k, v in values.items() if k not in CONFIGURATION and getattr(agent, k) != v}
    for name, value in plain.items():
        setattr(agent, name, value)
    if changed or plain:
        agent.updated_at = now
        _write_named(agent, update_fields=[*plain, "updated_at"])
        details = {"fields": sorted({**changed, **plain}), "version": version_of(agent).number}
        _record(agent, "agent.update", actor, now, details)
    return agent


@transaction.atomic
def start_agent(*, organization_id: UUID, agent_id: UUID, actor: Actor, now: datetime) -> Agent:
    """Let the agent take tasks: active, and idle unless a person began one for it meanwhile.

    A started agent stays as it is.
    """
    agent = lock_agent(organization_id=organization_id, agent_id=agent_id)
    if agent.is_active:
        return agent
    is_working = any(work.is_running(agent=agent) for work in WORK)
    status = AgentStatus.BUSY if is_working else AgentStatus.IDLE
    _set_activity(agent, is_active=True, status=status, now=now)
    _record(agent, "agent.start", actor, now)
    for work in WORK:
        work.take_up()
    return agent


@transaction.atomic
def stop_agent(*, organization_id: UUID, agent_id: UUID, actor: Actor, now: datetime) -> Agent:
    """Take the agent offline; its running tasks go back to the queue and wait for it."""
    agent = lock_agent(organization_id=organization_id, agent_id=agent_id)
    if not agent.is_active:
        return agent
    _set_activity(agent, is_active=False, status=AgentStatus.OFFLINE, now=now)
    returned = sum(work.give_back(agent=agent, actor=actor, now=now) for work in WORK)
    _record(agent, "agent.stop", actor, now, {"tasks_returned": returned})
    return agent


@transaction.atomic
def delete_agent(*, organization_id: UUID, agent_id: UUID, actor: Actor, now: datetime) -> None:
    """Soft-delete the agent; its name is free again. Raises AgentHasRunningTasks."""
    agent = lock_agent(organization_id=organization_id, agent_id=agent_id)
    if any(work.is_running(agent=agent) for work in WORK):
        raise AgentHasRunningTasks
    agent.deleted_at = agent.updated_at = now
    agent.is_active, agent.status = False, AgentStatus.OFFLINE
    agent.save(update_fields=["deleted_at", "updated_at", "is_active", "status"])
    _limit(agent, Decimal(0), actor, now)
    _record(agent, "agent.delete", actor, now, {"name": agent.name})


def lock_agent(*, organization_id: UUID, agent_id: UUID) -> Agent:
    """The agent's row, locked to the end of the transaction. Raises AgentNotFound.

    Whoever changes an agent's work locks the agent before the task: one order, no deadlock.
    """
    # Without its version: PostgreSQL re-reads a row that it waited for, but not the joined one.
    agent = (
        Agent.objects.alive()
        .select_for_update(no_key=True)
        .filter(organization_id=organization_id, pk=agent_id)
        .first()
    )
    if agent is None:
        raise AgentNotFound
    return agent


def add_version(
    agent: Agent, configuration: Mapping[str, Any], actor: Actor, now: datetime
) -> None:
    """Give a locked agent its next version, and with it its daily budget, in the caller's
    transaction."""
    last = agent.current_version.number if agent.current_version else 0
    agent.current_version = AgentVersion.objects.create(
        organization_id=agent.organization_id,
        agent=agent,
        number=last + 1,
        created_by=actor.label,
        author_id=people.find_person(actor=actor),
        **configuration,
    )
    agent.save(update_fields=["current_version"])
    _limit(agent, agent.current_version.daily_budget_usd, actor, now)


def version_of(agent: Agent) -> AgentVersion:
    """The version that an agent has now; each has one."""
    if agent.current_version is None:
        raise LookupError(f"Agent {agent.pk} has no version.")
    return agent.current_version


def load_versions(version_ids: Collection[UUID | None]) -> dict[UUID | None, AgentVersion]:
    """Versions by id. They never change, so a process reads each of them once."""
    with _loading:
        known = {key: _loaded[key] for key in version_ids if key in _loaded}
    missing = [key for key in version_ids if key is not None and key not in known]
    if missing:
        for version in AgentVersion.objects.filter(pk__in=missing):
            known[version.pk] = version
        with _loading:
            _loaded.update(known)
            while len(_loaded) > VERSIONS_KEPT:
                _loaded.popitem(last=False)
    return known


def set_busy(*, agents: Sequence[Agent], now: datetime) -> None:
    """Mark locked agents as working; those that are not idle keep their status."""
    for agent in agents:
        if agent.status == AgentStatus.IDLE:
            _set_activity(agent, is_active=True, status=AgentStatus.BUSY, now=now)


def set_idle(*, agent: Agent, now: datetime) -> None:
    """Mark a locked agent as done with its last task; one that was stopped stays offline."""
    if agent.status == AgentStatus.BUSY:
        _set_activity(agent, is_active=True, status=AgentStatus.IDLE, now=now)


def _set_activity(agent: Agent, *, is_active: bool, status: AgentStatus, now: datetime) -> None:
    agent.is_active, agent.status = is_active, status
    agent.last_active_at = agent.updated_at = now
    agent.save(update_fields=["is_active", "status", "last_active_at", "updated_at"])
    events.publish(
        organization_id=agent.organization_id,
        type="agent.status",
        data={"id": str(agent.pk), "name": agent.name, "status": status},
        now=now,
    )


def _limit(agent: Agent, daily_limit_usd: Decimal, actor: Actor, now: datetime) -> None:
    budgets.limit_agent(
        organization_id=agent.organization_id,
        agent_id=agent.pk,
        daily_limit_usd=daily_limit_usd,
        actor=actor,
        now=now,
    )


def _check_name(agent: Agent, name: str) -> None:
    """Else whoever may change an agent could take it out of an administrator's override."""
    found = name != agent.name and selectors.find_override(
        organization_id=agent.organization_id, agent_name=agent.name
    )
    if found:
        raise AgentIsOverridden


def _configuration(values: Mapping[str, Any], organization_id: UUID) -> dict[str, Any]:
    asked = {k: v for k, v in values.items() if k in CONFIGURATION}
    if asked.get("llm_provider") == "":
        preferences = read_settings(organization_id=organization_id)
        asked["llm_provider"] = catalogue.preferred_provider(preferences)
    return asked


def _check(configuration: Mapping[str, Any], organization_id: UUID, *, own_name: str = "") -> None:
    """Raises Invalid; `own_name` is that of an agent to be, which may call itself."""
    provider = configuration.get("llm_provider")
    if provider is not None and provider not in PROVIDERS:
        raise Invalid.field(
            "llm_provider", f"Unknown provider. Choose one of: {', '.join(PROVIDERS)}."
        )
    own = f"{AGENT_TOOL}{own_name}"
    names = [name for name in configuration.get("enabled_tools", ()) if name != own]
    if missing := catalogue.missing_tools(organization_id=organization_id, names=names):
        raise Invalid.field(
            "enabled_tools",
            f"Not in the tool catalogue: {', '.join(missing)}."
            " GET /api/v1/tools lists the tools of the hub and of its sources; agent:<name> is an"
            " agent of this organization.",
        )
    for each in configuration.get("fallback_models", ()):
        provider, _, model = each.partition(":")
        if provider not in PROVIDERS or not model:
            raise Invalid.field(
                "fallback_models",
                f"Send provider:model, the provider being one of: {', '.join(PROVIDERS)}.",
            )


def _write_named(agent: Agent, **how: Any) -> None:
    try:
        with transaction.atomic():
            agent.save(**how)
    except IntegrityError as error:
        if "agent_name_unique" in str(error):
            raise AgentNameTaken from None
        raise


def _record(
    agent: Agent,
    action: str,
    actor: Actor,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    audit.record(
        actor=actor,
        organization_id=agent.organization_id,
        action=action,
        resource_type="agent",
        resource_id=agent.pk,
        details=details,
        now=now,
    )
