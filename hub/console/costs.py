"""The page Costs: what agents and providers cost in the last days."""

from collections.abc import Mapping
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from cost.selectors import reports
from cost.selectors.reports import Share
from kernel import clock, display
from kernel.admin_links import link

PERMISSION: Final = "cost.read"
SPANS: Final = (7, 30, 90)


def costs_page(request: HttpRequest, *, context: Mapping[str, Any]) -> HttpResponse:
    """Both reports over `?days=`, one of SPANS; two queries and one for the agents' names."""
    asked = request.GET.get("days", "")
    days = int(asked) if asked in map(str, SPANS) else SPANS[1]
    user: Any = request.user
    about: Any = {"organization_id": user.organization_id, "days": days, "now": clock.now()}
    agents = reports.by_agent(**about)
    shown = {
        **context,
        "title": "Costs",
        "days": days,
        "spans": SPANS,
        "agents": agents,
        "agent_rows": [(share, _agent(request, share)) for share in agents.items],
        "providers": reports.by_provider(**about),
    }
    return TemplateResponse(request, "console/costs.html", shown)


def _agent(request: HttpRequest, share: Share) -> str:
    if not share.key:
        return "No agent"
    name = share.name or display.identifier(share.key)
    return link(request, "agents_agent", share.key, share.name) or name
