"""Console page of sessions."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from accounts.choices import SECURITY, SessionKind
from accounts.models import Session
from accounts.operations import sessions
from kernel import clock, display
from kernel.admin import ConsoleAdmin, confirmed
from kernel.admin_columns import column, exact_time, status_column, time_column


def _session_state(session: Session) -> str:
    if session.revoked_at is not None:
        return "revoked"
    return "alive" if session.is_alive(now=clock.now()) else "expired"


STATE = column("state", _session_state, display.status)
ADDRESS = column("address", lambda session: session.ip_address or display.NOTHING)
DEVICE = column("device", lambda session: session.device or display.NOTHING)


class StateFilter(admin.SimpleListFilter):
    """Whether they still open anything."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Both."""
        return [("alive", "Alive"), ("ended", "Ended")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """As the column says it: revoked and expired ones have ended."""
        alive = Q(revoked_at=None, expires_at__gt=clock.now())
        if self.value() == "ended":
            return queryset.exclude(alive)
        return queryset.filter(alive) if self.value() == "alive" else queryset


@admin.register(Session)
class SessionAdmin(ConsoleAdmin):
    """Logins to the API and the console, and the button that ends them."""

    view_permission = SECURITY
    audited_as = ("session", "user__email")
    edit_permission = SECURITY
    api_path = "/api/v1/security/sessions"
    list_display: ClassVar = (
        "user",
        STATE,
        status_column("kind"),
        DEVICE,
        ADDRESS,
        time_column("last_seen_at", "last seen"),
        time_column("created_at", "began"),
        time_column("expires_at", "expires"),
        "short_id",
    )
    list_select_related: ClassVar = ("user",)
    list_filter: ClassVar = (StateFilter,)
    search_fields: ClassVar = ("user__email",)
    fields: ClassVar = (
        "user",
        STATE,
        "kind",
        "restriction",
        ADDRESS,
        DEVICE,
        "user_agent",
        exact_time("created_at"),
        exact_time("last_seen_at"),
        exact_time("mfa_at"),
        exact_time("expires_at"),
        exact_time("revoked_at"),
        "whole_id",
    )
    actions: ClassVar = ("revoke_sessions",)
    actions_detail: ClassVar = ("revoke_session",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without those that wait for a second factor: they open nothing."""
        return super().get_queryset(request).exclude(kind=SessionKind.PENDING)

    @admin.action(description="Revoke selected sessions", permissions=["edit"])
    def revoke_sessions(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        """Their tokens stop counting with the next request."""
        for session in queryset:
            self._revoke(request, session)

    @confirmed(
        "Revoke session",
        "Its tokens stop counting with the next request.",
        available=lambda session: session.is_alive(now=clock.now()),
    )
    def revoke_session(self, request: HttpRequest, session: Session) -> None:
        """End it."""
        self._revoke(request, session)

    def _revoke(self, request: HttpRequest, session: Session) -> None:
        actor = self.actor(request)
        self.attempt(request, sessions.revoke, session_id=session.pk, actor=actor, now=clock.now())
