"""The console's site object."""

from typing import Any
from uuid import UUID

from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from unfold.sites import UnfoldAdminSite

from accounts.models import Session, User
from accounts.operations import sessions
from accounts.operations.login import Awaited
from accounts.selectors import sessions as selectors
from hub.console import (
    account,
    administration,
    attention,
    browsers,
    forms,
    overview,
    single_sign_on,
)
from kernel import clock
from kernel.admin import ConsoleAdmin


class ConsoleSite(UnfoldAdminSite):  # type: ignore[misc]  # unfold ships no types
    """Opens for every active user; what a page allows is decided by named permissions."""

    index_template = "console/overview.html"
    index_title = "Overview"
    empty_value_display = "-"

    def register(self, models: Any, admin_class: Any = None, **options: Any) -> None:
        """Only pages on the console's base: Django's own would go round tenants and operations."""
        if admin_class is not None and issubclass(admin_class, ConsoleAdmin):
            super().register(models, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether the caller may look at the console at all."""
        user = request.user
        return isinstance(user, User) and user.is_active and user.organization.is_active

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """What every page shows; a query more for somebody who must set up a second factor soon."""
        found: dict[str, Any] = super().each_context(request)
        session: Session | None = getattr(request, "console_session", None)
        # A session that must do one thing first has a page of its own that says so.
        if session is not None and not session.restriction:
            found["mfa_due_at"] = selectors.find_mfa_due(session=session, now=clock.now())
        return found

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The front page; each part of it shows to whoever may open the page behind it."""
        context: dict[str, Any] = {"now": clock.now(), **(extra_context or {})}
        user: Any = request.user
        found = context["attention"] = attention.get_attention(user=user, now=context["now"])
        if user.has_perm("task.read"):
            shown = overview.get_overview(organization_id=user.organization_id, now=context["now"])
            asked = {approval.task_id for approval in found.asked}
            context["overview"] = shown
            context["needs_person"] = [each for each in shown.needs_person if each.pk not in asked]
            context["shows_cost"] = user.has_perm("cost.read")
        response: HttpResponse = super().index(request, context)
        return response

    def get_urls(self) -> list[URLPattern]:
        """With the second step of a login, and everybody's page about themselves."""
        view = self.admin_view(self.account)
        return [
            path("login/code/", self.second_factor, name="login_code"),
            path("account/", view, name="account"),
            path("account/<slug:action>/", view, name="account_action"),
            path("account/<slug:action>/<uuid:object_id>/", view, name="account_object"),
            *administration.routes(self.admin_view, self.each_context),
            *super().get_urls(),
        ]

    @method_decorator(never_cache)
    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """E-mail and password, as for the API; a second factor is asked for on the next page."""
        if request.method == "GET" and self.has_permission(request):
            return redirect("admin:index")
        form = forms.LoginForm(request, data=request.POST or None)
        if request.method == "POST" and form.is_valid():
            return self._opened(request, form.found)
        context = {**self._login_context(request), "form": form, **(extra_context or {})}
        context["single_sign_on"] = single_sign_on.find_button(request)
        return TemplateResponse(request, "admin/login.html", context)

    @method_decorator(never_cache)
    def second_factor(self, request: HttpRequest) -> HttpResponse:
        """The second step; without the first one there is nothing to do here."""
        token = request.session.get(browsers.AWAITED)
        if token is None:
            return redirect("admin:login")
        form = forms.CodeForm(request, request.POST or None, temp_token=token)
        if request.method == "POST" and form.is_valid():
            return self._opened(request, form.found)
        context = {**self._login_context(request), "form": form}
        return TemplateResponse(request, "console/second_factor.html", context)

    def logout(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Django's, and the session ends for good: a cookie that was copied opens nothing."""
        session: Session | None = request.console_session  # type: ignore[attr-defined]
        if request.method == "POST" and session is not None:
            actor = browsers.origin(request).person(session.user)
            sessions.log_out(session_id=session.pk, actor=actor, now=clock.now())
        response: HttpResponse = super().logout(request, extra_context)
        return response

    def account(
        self, request: HttpRequest, action: str = "", object_id: UUID | None = None
    ) -> HttpResponse:
        """The page about oneself, and what its forms do."""
        page = account.Page(request, self.each_context(request))
        return page.act(action, object_id) if action else page.show()

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Closed: Django's form writes past operations and audit, and leaves sessions alive."""
        raise Http404

    def search(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Closed: the menu has every page, and unfold's search trips over a bad page number."""
        raise Http404

    def _opened(self, request: HttpRequest, found: Session | Awaited) -> HttpResponse:
        """Where a login goes on."""
        aim = request.POST.get(REDIRECT_FIELD_NAME) or request.GET.get(REDIRECT_FIELD_NAME) or ""
        return browsers.admit(request, found, aim)

    def _login_context(self, request: HttpRequest) -> dict[str, Any]:
        return {
            **self.each_context(request),
            "title": "Log in",
            "subtitle": None,
            "app_path": request.get_full_path(),
            "username": request.user.get_username(),
        }
