"""Sources and tools for tests."""

from typing import Any

from accounts.models import Organization
from kernel import clock, loop
from kernel.actors import SYSTEM
from secrets_vault.models import Secret
from secrets_vault.operations import keeping, opening
from tools.choices import SideEffect
from tools.models import CatalogTool, ToolSource
from tools.operations import calls, policies, refreshing, sources

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def make_source(organization: Organization, **values: Any) -> ToolSource:
    """A source that nobody has asked yet."""
    given = {"name": "weather", "kind": "service", "url": "https://tools.example.com", **values}
    return sources.create_source(
        organization_id=organization.pk, values=given, actor=SYSTEM, now=clock.now()
    )


def make_tool(source: ToolSource, name: str = "forecast", **values: Any) -> CatalogTool:
    """A tool as a refresh leaves it."""
    return CatalogTool.objects.create(
        organization_id=source.organization_id,
        source=source,
        tool_name=f"{source.name}:{name}",
        service_name=source.name,
        **{
            "description": "The weather of the days to come.",
            "parameters": SCHEMA,
            "binding": {"name": name},
            "declared_side_effect": SideEffect.WRITE,
            "last_refreshed_at": clock.now(),
            **values,
        },
    )


def make_secret(
    organization: Organization,
    *,
    name: str = "weather_key",
    value: str = "canary-5fe1c0",
    **more: Any,
) -> Secret:
    """A secret in the vault."""
    return keeping.create_secret(
        organization_id=organization.pk,
        name=name,
        value=value,
        actor=SYSTEM,
        now=clock.now(),
        **more,
    )


def use_secret(secret: Secret) -> None:
    """Open it once, for a tool."""
    opening.open_secret(
        organization_id=secret.organization_id,
        name=secret.name,
        purpose="tool:weather",
        now=clock.now(),
    )


def refresh(source: ToolSource) -> ToolSource:
    """Ask the source as the job does; the row as it is then."""
    ToolSource.objects.filter(pk=source.pk).update(next_refresh_at=clock.now())
    for claimed in refreshing.claim_due(now=clock.now()):
        loop.get().submit(refreshing.refresh(claimed, clock=clock.now)).result(30)
    return ToolSource.objects.get(pk=source.pk)


def names(source: ToolSource) -> list[str]:
    """The source's tools in the catalogue."""
    rows = CatalogTool.objects.filter(source=source, removed_at=None).order_by("tool_name")
    return list(rows.values_list("tool_name", flat=True))


def call(tool: CatalogTool, **arguments: Any) -> Any:
    """One call, as a run makes it."""
    made = calls.call_tool(tool.organization_id, arguments, tool_id=tool.pk, refusal=not_refused)
    return loop.get().submit(made).result(30)


def set_policy(tool: CatalogTool, **values: Any) -> CatalogTool:
    """What a person decides about it."""
    return policies.set_policy(
        organization_id=tool.organization_id,
        tool_id=tool.pk,
        values=values,
        actor=SYSTEM,
        now=clock.now(),
    )


def not_refused(_tool: CatalogTool) -> str:
    """The tool is still for the run."""
    return ""


def tool_called(name: str) -> CatalogTool:
    """A tool of the catalogue."""
    return CatalogTool.objects.get(tool_name=name)
