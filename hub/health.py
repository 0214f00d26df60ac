"""Probes: is the process alive, can it serve, and how do its parts do."""

import hmac
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django_prometheus.exports import ExportToDjangoView

from hub import components
from kernel.http import addresses, problems

# Made and removed by `manage.py gate`: it takes this host out of the traffic, not the whole hub.
GATE: Final = "gate-closed"


def alive(_request: HttpRequest) -> JsonResponse:
    """`/healthz`: the process answers; asks nobody else."""
    return JsonResponse({"status": "ok"})


def health(_request: HttpRequest) -> JsonResponse:
    """`/health` (contract 003 B28)."""
    return JsonResponse(
        {
            "status": "healthy",
            "service": "agent-hub",
            "version": settings.VERSION,
            "environment": settings.HUB_ENVIRONMENT,
        }
    )


def ready(_request: HttpRequest) -> JsonResponse:
    """`/readyz` and `/ready`: 200 when database (migrated) and Redis answer and the operator's gate
    is open, else 503 with what fails (contract 002 A1)."""
    checks = components.ask({"database": components.database, "redis": components.redis})
    checks["gate"] = "manual_gate" if (settings.HUB_DATA_DIR / GATE).exists() else "ok"
    failures = {name: state for name, state in checks.items() if state != "ok"}
    found: dict[str, Any] = {"status": "not_ready" if failures else "ready"}
    if failures:
        found["failures"] = failures
    found |= {"version": settings.VERSION, "checks": checks}
    return JsonResponse(found, status=503 if failures else 200)


def metrics(request: HttpRequest) -> HttpResponse:
    """`/metrics`: for whoever shows HUB_METRICS_TOKEN or comes from HUB_METRICS_ALLOW; where
    neither is set, for everybody, but in production for nobody."""
    if not _may_scrape(request):
        return problems.answer(
            request,
            status=403,
            code="metrics.not_public",
            detail="Metrics are not public. The operator sets HUB_METRICS_TOKEN or"
            " HUB_METRICS_ALLOW.",
        )
    exported: HttpResponse = ExportToDjangoView(request)
    return exported


def _may_scrape(request: HttpRequest) -> bool:
    token, networks = settings.HUB_METRICS_TOKEN, settings.HUB_METRICS_ALLOW
    if not token and not networks:
        return bool(settings.HUB_ENVIRONMENT != "production")
    offered = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if token and hmac.compare_digest(offered.encode(), token.encode()):
        return True
    address = addresses.parse(request.META.get("REMOTE_ADDR", ""))
    return address is not None and addresses.contains(networks, address)
