"""Writing overrides: what counts instead of an agent's own configuration (contract 004 C1)."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction

from agents import selectors
from agents.choices import CREATED, DELETED, ROW_EVENTS, UPDATED
from agents.errors import (
    OverrideChanged,
    OverrideNameTaken,
    OverrideNotFound,
    OverrideRevisionIsCurrent,
    OverrideRevisionNotFound,
)
from agents.models import AgentOverride, AgentOverrideRevision
from agents.operations import catalogue, effective, registry
from agents.runtime.providers import PROVIDERS
from audit import operations as audit
from events import operations as events
from kernel.actors import Actor
from kernel.errors import Invalid

# Called with organization, override and now, in the transaction in which it ceases to disable its
# agent; the apps whose work waits for agents append themselves in `AppConfig.ready`.
ENABLED: Final[list[Callable[[UUID, UUID, datetime], None]]] = []


PUBLISHED: Final = {
    "max_tokens": "maxTokens",
    "response_format": "responseFormat",
    "selected_tools": "selectedTools",
}


@transaction.atomic
def create_override(
    *,
    organization_id: UUID,
    agent_name: str,
    values: Mapping[str, Any],
    actor: Actor,
    user_id: UUID,
    now: datetime,
) -> AgentOverride:
    """Override the agent of that name, which need not be there. `values` as OVERRIDABLE.

    Raises OverrideNameTaken, or Invalid for an unknown provider or tool.
    """
    _check(organization_id, values)
    override = AgentOverride(
        organization_id=organization_id,
        agent_name=agent_name,
        owner_id=user_id,
        updated_by=user_id,
        created_at=now,
        updated_at=now,
        **values,
    )
    try:
        with transaction.atomic():
            override.save(force_insert=True)
    except IntegrityError as error:
        if "agent_override_name_unique" in str(error):
            raise OverrideNameTaken from None
        raise
    _keep(override, actor, now)
    _tell(override, CREATED, now, sorted(values))
    _tell_row(override, CREATED, {}, now)
    _record(override, "agent_override.create", actor, now, {"fields": sorted(values)})
    return override


@transaction.atomic
def update_override(
    *,
    organization_id: UUID,
    override_id: UUID,
    values: Mapping[str, Any],
    actor: Actor,
    user_id: UUID,
    now: datetime,
    record_version: int | None = None,
) -> AgentOverride:
    """Change what `values` name; nothing is written if that changes nothing.

    Raises OverrideNotFound, OverrideChanged if `record_version` is given and not the present one,
    or Invalid.
    """
    override = _lock(organization_id, override_id, record_version)
    changed = {name: v for name, v in values.items() if getattr(override, name) != v}
    _check(organization_id, changed)
    if changed:
        _write(override, changed, actor, user_id, now)
        _record(override, "agent_override.update", actor, now, _shown(changed))
    return override


@transaction.atomic
def delete_override(
    *,
    organization_id: UUID,
    override_id: UUID,
    actor: Actor,
    user_id: UUID,
    now: datetime,
    record_version: int | None = None,
) -> AgentOverride:
    """Let the agent's own configuration count again; its last state. The name is free.

    Raises OverrideNotFound or OverrideChanged.
    """
    override = _lock(organization_id, override_id, record_version)
    was_disabled = not override.enabled
    override.deleted_at = override.updated_at = now
    override.updated_by = user_id
    override.record_version += 1
    override.save(update_fields=["deleted_at", "updated_at", "updated_by", "record_version"])
    effective.forget(organization_id=organization_id)
    if was_disabled:
        _take_up(override, now)
    _tell(override, DELETED, now, [])
    _tell_row(override, DELETED, {}, now)
    _record(override, "agent_override.delete", actor, now, {})
    return override


@transaction.atomic
def roll_back_override(
    *,
    organization_id: UUID,
    override_id: UUID,
    number: int,
    actor: Actor,
    user_id: UUID,
    now: datetime,
) -> AgentOverrideRevision:
    """Write the values of an earlier revision anew; the revision that this makes.

    Raises OverrideNotFound, OverrideRevisionNotFound or OverrideRevisionIsCurrent.
    """
    override = _lock(organization_id, override_id, None)
    revisions = selectors.list_revisions(organization_id=organization_id, override_id=override_id)
    revision = revisions.filter(number=number).first()
    if revision is None:
        raise OverrideRevisionNotFound
    changed = {k: v for k, v in revision.values.items() if getattr(override, k) != v}
    if not changed:
        raise OverrideRevisionIsCurrent
    made = _write(override, changed, actor, user_id, now)
    details = {"revision": number, **_shown(changed)}
    _record(override, "agent_override.rollback", actor, now, details)
    return made


def _lock(organization_id: UUID, override_id: UUID, record_version: int | None) -> AgentOverride:
    rows = selectors.list_overrides(organization_id=organization_id).filter(pk=override_id)
    override = rows.select_for_update(no_key=True).first()
    if override is None:
        raise OverrideNotFound
    if record_version not in {None, override.record_version}:
        raise OverrideChanged
    return override


def _check(organization_id: UUID, values: Mapping[str, Any]) -> None:
    provider = values.get("provider")
    if provider is not None and provider not in PROVIDERS:
        known = ", ".join(PROVIDERS)
        raise Invalid.field("provider", f"Choose one of: {known}.", type="unknown")
    tools = values.get("selected_tools") or ()
    if missing := catalogue.missing_tools(organization_id=organization_id, names=tools):
        sentence = f"Not in the tool catalogue: {', '.join(missing)}."
        raise Invalid.field("selected_tools", sentence, type="unknown")


def _write(
    override: AgentOverride,
    changed: Mapping[str, Any],
    actor: Actor,
    user_id: UUID,
    now: datetime,
) -> AgentOverrideRevision:
    before = {name: getattr(override, name) for name in changed}
    for name, value in changed.items():
        setattr(override, name, value)
    override.record_version += 1
    override.updated_by, override.updated_at = user_id, now
    override.save(update_fields=[*changed, "record_version", "updated_by", "updated_at"])
    made = _keep(override, actor, now)
    if changed.get("enabled"):
        _take_up(override, now)  # once all workers look anew: who is rung sooner may hold it again
    _tell(override, UPDATED, now, sorted(changed))
    _tell_row(override, UPDATED, before, now)
    return made


def _keep(override: AgentOverride, actor: Actor, now: datetime) -> AgentOverrideRevision:
    effective.forget(organization_id=override.organization_id)
    return AgentOverrideRevision.objects.create(
        organization_id=override.organization_id,
        override=override,
        number=override.record_version,
        values=override.values(),
        created_by=actor.label,
        author_id=override.updated_by,
        created_at=now,
        updated_at=now,
    )


def _take_up(override: AgentOverride, now: datetime) -> None:
    """The agent works again: what waited for it may be claimed, what called it may go on."""
    for hook in ENABLED:
        hook(override.organization_id, override.pk, now)
    for work in registry.WORK:
        work.take_up()


def _shown(changed: Mapping[str, Any]) -> dict[str, Any]:
    """For the audit trail, which holds no prompts."""
    switched = {"enabled": changed["enabled"]} if "enabled" in changed else {}
    return {"fields": sorted(changed), **switched}


def _tell(override: AgentOverride, type_: str, now: datetime, fields: list[str]) -> None:
    events.publish(
        organization_id=override.organization_id,
        type=type_,
        data={
            "id": override.pk,
            "agentName": override.agent_name,
            "enabled": override.enabled,
            "recordVersion": override.record_version,
            "fields": fields,
        },
        now=now,
    )


def _tell_row(
    override: AgentOverride, type_: str, before: Mapping[str, Any], now: datetime
) -> None:
    """The row in seed 004's words; of a change also what it was `before`."""
    now_so = _published(override.values())
    row = {
        "id": override.pk,
        "agentName": override.agent_name,
        **now_so,
        "recordVersion": override.record_version,
        "updatedBy": override.updated_by,
        "isActive": override.deleted_at is None,
    }
    data: dict[str, Any] = {"sys_agentOverride": row}
    if before:
        old = _published(before)
        data["old_sys_agentOverride"] = {
            **row,
            **old,
            "recordVersion": override.record_version - 1,
        }
        data["oldDataValues"] = old
        data["newDataValues"] = {name: now_so[name] for name in old}
    events.publish(
        organization_id=override.organization_id, type=ROW_EVENTS[type_], data=data, now=now
    )


def _published(values: Mapping[str, Any]) -> dict[str, Any]:
    """By seed 004's names, but for prompts: events hold none, like the audit trail."""
    return {PUBLISHED.get(k, k): value for k, value in values.items() if k != "system_prompt"}


def _record(
    override: AgentOverride,
    action: str,
    actor: Actor,
    now: datetime,
    details: Mapping[str, Any],
) -> None:
    audit.record(
        actor=actor,
        organization_id=override.organization_id,
        action=action,
        resource_type="agent_override",
        resource_id=override.pk,
        details={
            "agent_name": override.agent_name,
            "record_version": override.record_version,
            **details,
        },
        now=now,
    )
