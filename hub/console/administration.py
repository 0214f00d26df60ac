"""Routes of the console's pages that show no rows: settings, IP rules, costs, health."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from accounts.choices import SECURITY
from accounts.models import Session, User
from accounts.operations import stepup
from hub import components
from hub.console import audit_export, costs, network, preferences
from kernel import clock
from kernel.actors import Actor
from kernel.admin_forms import CODE
from kernel.errors import DomainError
from preferences.choices import EDIT
from sso.operations import checks

View = Callable[..., HttpResponse]
Write = Callable[..., None]
Obstacle = Callable[[], DomainError | None]
Context = Callable[[HttpRequest], dict[str, Any]]


def routes(wrap: Callable[[View], View], each_context: Context) -> list[URLPattern]:
    """The pages, each behind `wrap` (the site's own check) and its permission."""

    def settings(request: HttpRequest, category: str = "") -> HttpResponse:
        return preferences.category_page(
            request,
            category,
            write=partial(_writer(request), session_id=_session(request).pk),
            find_obstacle=_finder(request),
            context=each_context(request),
        )

    def ip_rules(request: HttpRequest) -> HttpResponse:
        _require(request, SECURITY)
        return network.rules_page(
            request,
            write=_writer(request),
            find_obstacle=_finder(request),
            context=each_context(request),
        )

    def export(request: HttpRequest) -> HttpResponse:
        _require(request, audit_export.PERMISSION)
        return audit_export.export_page(request, context=each_context(request))

    def costs_of(request: HttpRequest) -> HttpResponse:
        _require(request, costs.PERMISSION)
        return costs.costs_page(request, context=each_context(request))

    def check_provider(request: HttpRequest) -> HttpResponse:
        _require(request, SECURITY)
        if request.method == "POST":
            user: Any = request.user
            report = checks.check_provider(organization_id=user.organization_id)
            level = messages.SUCCESS if report.ok else messages.ERROR
            messages.add_message(request, level, " ".join(report.lines))
        return redirect("admin:settings", "security")

    def health(request: HttpRequest) -> HttpResponse:
        _require(request, EDIT)
        user: Any = request.user
        report = components.report(organization_id=user.organization_id)
        context = {**each_context(request), "title": "Health", "now": clock.now(), **report}
        return TemplateResponse(request, "console/health.html", context)

    return [
        path("settings/", wrap(settings), name="all_settings"),
        path("settings/<slug:category>/", wrap(settings), name="settings"),
        path("ip-rules/", wrap(ip_rules), name="ip_rules"),
        path("settings/security/check-provider/", wrap(check_provider), name="check_provider"),
        path("audit-export/", wrap(export), name="audit_export"),
        path("costs/", wrap(costs_of), name="costs"),
        path("health/", wrap(health), name="health"),
    ]


def _require(request: HttpRequest, permission: str) -> None:
    if not (isinstance(request.user, User) and request.user.has_perm(permission)):
        raise PermissionDenied


def _writer(request: HttpRequest) -> Write:
    """Runs an operation for who clicked, with a fresh second factor where the organization asks."""

    def write(operation: Callable[..., Any], **arguments: Any) -> None:
        user: Any = request.user
        actor, now = _actor(request), clock.now()
        code = request.POST.get(CODE, "")
        stepup.require_with(session=_session(request), code=code, actor=actor, now=now)
        operation(organization_id=user.organization_id, actor=actor, now=now, **arguments)

    return write


def _finder(request: HttpRequest) -> Obstacle:
    """Says what a form of the page must ask for beside its own fields."""
    return lambda: stepup.find_obstacle(session=_session(request), now=clock.now())


def _session(request: HttpRequest) -> Session:
    session: Session = request.console_session  # type: ignore[attr-defined]  # by `Browsers`
    return session


def _actor(request: HttpRequest) -> Actor:
    """Who clicked, for operations and audit."""
    user: Any = request.user
    return Actor(
        type="user",
        id=str(user.pk),
        label=user.get_username(),
        organization_id=user.organization_id,
        ip_address=request.META.get("REMOTE_ADDR") or None,
        request_id=getattr(request, "request_id", ""),
    )
