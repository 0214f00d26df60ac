"""Rules: which actions need whose approval."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts.models import Role, User
from approvals.errors import RuleInUse, RuleNameTaken, RuleNotFound
from approvals.models import ApprovalRule
from audit import operations as audit
from kernel.actors import Actor
from kernel.errors import Invalid

# Whether something of an organization names a rule; apps above append themselves in
# `AppConfig.ready`: without the rule, it would ask for less.
NAMED_BY: Final[list[Callable[[UUID, UUID], bool]]] = []


@transaction.atomic
def create_rule(
    *, organization_id: UUID, values: Mapping[str, Any], actor: Actor, now: datetime
) -> ApprovalRule:
    """Make a rule; `values` as its columns. Raises RuleNameTaken, or Invalid for who is not here.

    It counts for approvals that are opened from now on.
    """
    _check_people(organization_id, values)
    rule = ApprovalRule(organization_id=organization_id, created_at=now, updated_at=now, **values)
    _save(rule, force_insert=True)
    audit.record(
        actor=actor,
        organization_id=organization_id,
        action="approval_rule.create",
        resource_type="approval_rule",
        resource_id=rule.pk,
        details={"name": rule.name, **_plain(values)},
        now=now,
    )
    return rule


@transaction.atomic
def update_rule(
    *, organization_id: UUID, rule_id: UUID, values: Mapping[str, Any], actor: Actor, now: datetime
) -> ApprovalRule:
    """Change what `values` has. Raises RuleNotFound, RuleNameTaken, or Invalid.

    Approvals that are open keep what they began with. What is as it was leaves no trace.
    """
    rule = _lock(organization_id, rule_id)
    changes = {name: value for name, value in values.items() if getattr(rule, name) != value}
    if not changes:
        return rule
    _check_people(organization_id, changes)
    before = {name: getattr(rule, name) for name in changes}
    for name, value in changes.items():
        setattr(rule, name, value)
    rule.revision += 1
    rule.updated_at = now
    _save(rule, update_fields=[*changes, "revision", "updated_at"])
    audit.record(
        actor=actor,
        organization_id=organization_id,
        action="approval_rule.update",
        resource_type="approval_rule",
        resource_id=rule.pk,
        details={"name": rule.name, "before": _plain(before), "after": _plain(changes)},
        now=now,
    )
    return rule


@transaction.atomic
def delete_rule(*, organization_id: UUID, rule_id: UUID, actor: Actor, now: datetime) -> None:
    """Remove a rule; open approvals keep what they began with.

    Raises RuleNotFound, or RuleInUse while something names it.
    """
    rule = _lock(organization_id, rule_id)
    if any(names(organization_id, rule_id) for names in NAMED_BY):
        raise RuleInUse
    ApprovalRule.objects.filter(pk=rule.pk).delete()
    audit.record(
        actor=actor,
        organization_id=organization_id,
        action="approval_rule.delete",
        resource_type="approval_rule",
        resource_id=rule.pk,
        details={"name": rule.name, "revision": rule.revision},
        now=now,
    )


def _check_people(organization_id: UUID, values: Mapping[str, Any]) -> None:
    """Raises Invalid for a role or a person that the organization does not have."""
    roles = Role.objects.filter(organization_id=organization_id)
    role_id: UUID | None = values.get("approver_role_id")
    if role_id is not None and not roles.filter(pk=role_id).exists():
        raise Invalid.field("approver_role_id", "There is no such role.", type="not_found")
    wanted = set(values.get("approvers", ()))
    people = User.objects.filter(organization_id=organization_id, pk__in=wanted)
    if wanted and wanted - set(people.values_list("pk", flat=True)):
        raise Invalid.field("approvers", "Some of these people are not here.", type="not_found")


def _save(rule: ApprovalRule, **options: Any) -> None:
    try:
        with transaction.atomic():
            rule.save(**options)
    except IntegrityError:
        raise RuleNameTaken from None


def _lock(organization_id: UUID, rule_id: UUID) -> ApprovalRule:
    rows = ApprovalRule.objects.filter(organization_id=organization_id, pk=rule_id)
    rule = rows.select_for_update().first()
    if rule is None:
        raise RuleNotFound
    return rule


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON: ids are texts."""
    return {
        name: [str(part) for part in value]
        if isinstance(value, list)
        else str(value)
        if isinstance(value, UUID)
        else value
        for name, value in values.items()
    }
