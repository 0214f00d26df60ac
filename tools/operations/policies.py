"""What people decide about tools."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from accounts.models import Role
from approvals import selectors as approvals
from audit import operations as audit
from kernel.actors import Actor
from kernel.errors import Invalid, NotFound
from tools.errors import ToolNotFound
from tools.models import CatalogTool

# Those of these ids that are agents of the organization; `agents`, which is above, gives it.
AGENTS: Final[list[Callable[[UUID, Collection[UUID]], Collection[UUID]]]] = []


@transaction.atomic
def set_policy(
    *,
    organization_id: UUID,
    tool_id: UUID,
    values: Mapping[str, Any],
    actor: Actor,
    now: datetime,
) -> CatalogTool:
    """Change the policy of a tool; runs that begin or go on from now on follow it.

    Of those under way, calls of a source's tools heed what forbids them: `is_enabled`,
    `allowed_agents`, `required_roles`, `needs_approval`. None for `side_effect`, `is_idempotent`
    and `required_roles` is as the source declares, the first two as strictly as it ever did.
    Raises ToolNotFound, or Invalid for an unknown agent, role or approval rule.
    """
    rows = CatalogTool.objects.filter(organization_id=organization_id, pk=tool_id, removed_at=None)
    tool = rows.select_for_update(of=("self",)).first()
    if tool is None:
        raise ToolNotFound
    changed = {key: value for key, value in values.items() if getattr(tool, key) != value}
    if not changed:
        return tool
    _check_agents(tool, changed)
    _check(organization_id, changed)
    changes = {key: [getattr(tool, key), value] for key, value in changed.items()}
    for key, value in changed.items():
        setattr(tool, key, value)
    tool.has_policy, tool.updated_at = True, now
    tool.save(update_fields=[*changed, "has_policy", "updated_at"])
    audit.record(
        actor=actor,
        organization_id=organization_id,
        action="tool.update",
        resource_type="tool",
        resource_id=tool.pk,
        details={"name": tool.tool_name, "changes": _plain(changes)},
        now=now,
    )
    return tool


def _check_agents(tool: CatalogTool, changed: Mapping[str, Any]) -> None:
    # Those that it has may have been deleted since, and are no reason to refuse the others.
    if added := set(changed.get("allowed_agents", ())) - set(tool.allowed_agents):
        known = {pk for find in AGENTS for pk in find(tool.organization_id, added)}
        if unknown := sorted(map(str, added - known)):
            raise Invalid.field("allowed_agents", f"There is no agent {unknown[0]}.")


def _check(organization_id: UUID, changed: Mapping[str, Any]) -> None:
    if names := set(changed.get("required_roles") or ()):
        rows = Role.objects.filter(organization_id=organization_id, name__in=names)
        if unknown := sorted(names - set(rows.values_list("name", flat=True))):
            raise Invalid.field("required_roles", f"There is no role {unknown[0]!r}.")
    if rule_id := changed.get("approval_rule_id"):
        try:
            approvals.get_rule(organization_id=organization_id, rule_id=rule_id)
        except NotFound:
            raise Invalid.field("approval_rule_id", "There is no such approval rule.") from None


def _plain(changes: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON: ids as text."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(each) for each in value]
        return str(value) if isinstance(value, UUID) else value

    return {key: plain(value) for key, value in changes.items()}
