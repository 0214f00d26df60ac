"""The tools that every hub has, as rows in each organization's catalogue, so that a policy fits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from accounts.models import Organization
from tools import choices
from tools.models import CatalogTool

BATCH: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltIn:
    """A tool whose call the runtime makes itself."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    side_effect: Literal["none", "read", "write"] = "none"
    is_idempotent: bool = False
    timeout_seconds: float = choices.TIMEOUT_SECONDS

    def declared(self) -> dict[str, Any]:
        """What its rows say of it."""
        return {
            "description": self.description,
            "parameters": dict(self.parameters),
            "declared_side_effect": self.side_effect,
            "declared_idempotent": self.is_idempotent,
        }


# By name; the app that has the runtime fills it in `AppConfig.ready`.
BUILTINS: Final[dict[str, BuiltIn]] = {}


def offer(*, now: datetime) -> int:
    """Give every organization a row of each built-in tool, with the hub's present description.

    Returns how many were made. In the platform's scope.
    """
    made = 0
    for tool in BUILTINS.values():
        rows = CatalogTool.objects.filter(source=None, tool_name=tool.name)
        declared = tool.declared()
        rows.exclude(**declared).update(**declared, last_refreshed_at=now, updated_at=now)
        rows.exclude(removed_at=None).update(removed_at=None, updated_at=now)
        theirs = CatalogTool.objects.filter(organization=OuterRef("pk"), tool_name=tool.name)
        without = Organization.objects.filter(~Exists(theirs)).values_list("pk", flat=True)
        missing = [_row(tool, organization, now) for organization in without[:BATCH]]
        CatalogTool.objects.bulk_create(missing, ignore_conflicts=True)
        made += len(missing)
    _withdraw(now)
    return made


def give(now: datetime) -> None:
    """The same when a hub is prepared to start; a hook of `accounts.operations.bootstrap`."""
    offer(now=now)


@transaction.atomic
def _withdraw(now: datetime) -> None:
    gone = CatalogTool.objects.filter(~Q(tool_name__in=BUILTINS), source=None, removed_at=None)
    gone.filter(has_policy=False).delete()
    gone.update(removed_at=now, updated_at=now)


def _row(tool: BuiltIn, organization_id: Any, now: datetime) -> CatalogTool:
    return CatalogTool(
        organization_id=organization_id,
        tool_name=tool.name,
        service_name=choices.BUILTIN,
        timeout_seconds=round(tool.timeout_seconds),
        last_refreshed_at=now,
        created_at=now,
        updated_at=now,
        **tool.declared(),
    )
