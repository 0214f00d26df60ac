"""Console pages of accounts."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import AgentKey, Organization, Session, User
from accounts.operations import sessions
from kernel import clock, display
from kernel.admin import (
    ConsoleAdmin,
    column,
    confirmed,
    exact_time,
    time_column,
)


def _session_state(session: Session) -> str:
    if session.revoked_at is not None:
        return "revoked"
    return "alive" if session.is_alive(now=clock.now()) else "expired"


STATE = column("state", _session_state, display.status)


@admin.register(Organization)
class OrganizationAdmin(ConsoleAdmin):
    """The viewer's own organization."""

    view_permission = "user_role.edit"
    list_display: ClassVar = (
        "name",
        "slug",
        "is_active",
        time_column("created_at", "created"),
        "short_id",
    )
    search_fields: ClassVar = ("name",)
    fields: ClassVar = (
        "name",
        "slug",
        "is_active",
        exact_time("created_at"),
        exact_time("updated_at"),
        "whole_id",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """One row: others are not the viewer's business."""
        organization_id = request.user.organization_id  # type: ignore[union-attr]
        return Organization.objects.filter(pk=organization_id)


@admin.register(User)
class UserAdmin(ConsoleAdmin):
    """People of the organization."""

    view_permission = "user_role.edit"
    list_display: ClassVar = (
        "email",
        "full_name",
        "role",
        "is_active",
        time_column("last_login", "last login"),
        "short_id",
    )
    list_filter: ClassVar = ("is_active",)
    search_fields: ClassVar = ("email", "full_name")
    fields: ClassVar = (
        "email",
        "full_name",
        "role",
        "is_active",
        exact_time("last_login"),
        exact_time("created_at"),
        exact_time("updated_at"),
        "whole_id",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With their roles: one query for all."""
        return super().get_queryset(request).prefetch_related("assignments__role")


@admin.register(Session)
class SessionAdmin(ConsoleAdmin):
    """Logins to the API, and the button that ends them."""

    view_permission = "user_role.edit"
    edit_permission = "security.edit"
    list_display: ClassVar = (
        "user",
        STATE,
        "ip_address",
        time_column("created_at", "began"),
        time_column("expires_at", "expires"),
        "short_id",
    )
    list_select_related: ClassVar = ("user",)
    search_fields: ClassVar = ("user__email",)
    fields: ClassVar = (
        "user",
        STATE,
        "ip_address",
        "user_agent",
        exact_time("created_at"),
        exact_time("expires_at"),
        exact_time("revoked_at"),
        "whole_id",
    )
    actions: ClassVar = ("revoke_sessions",)
    actions_detail: ClassVar = ("revoke_session",)

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
        self.attempt(request, sessions.log_out, session_id=session.pk, actor=actor, now=clock.now())


@admin.register(AgentKey)
class AgentKeyAdmin(ConsoleAdmin):
    """Keys of remote agents; only their prefixes are known."""

    view_permission = "user_role.edit"
    list_display: ClassVar = (
        "name",
        "prefix",
        time_column("created_at", "created"),
        time_column("revoked_at", "revoked"),
        "short_id",
    )
    search_fields: ClassVar = ("name",)
    fields: ClassVar = (
        "name",
        "prefix",
        exact_time("created_at"),
        exact_time("revoked_at"),
        "whole_id",
    )
