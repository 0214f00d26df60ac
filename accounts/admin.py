"""Console pages of accounts."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import AgentKey, Organization, Session, User
from accounts.operations import sessions
from kernel import clock
from kernel.admin import ConsoleAdmin


@admin.register(Organization)
class OrganizationAdmin(ConsoleAdmin):
    """The viewer's own organization."""

    view_permission = "user.read"
    list_display: ClassVar = ("name", "slug", "is_active", "created_at")
    search_fields: ClassVar = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """One row: others are not the viewer's business."""
        organization_id = request.user.organization_id  # type: ignore[union-attr]
        return Organization.objects.filter(pk=organization_id)


@admin.register(User)
class UserAdmin(ConsoleAdmin):
    """People of the organization."""

    view_permission = "user.read"
    list_display: ClassVar = ("email", "full_name", "role", "is_active", "last_login")
    list_filter: ClassVar = ("role", "is_active")
    search_fields: ClassVar = ("email", "full_name")
    exclude: ClassVar = ("password",)


@admin.register(Session)
class SessionAdmin(ConsoleAdmin):
    """Logins to the API, and the button that ends them."""

    view_permission = "user.read"
    edit_permission = "user.edit"
    list_display: ClassVar = ("user", "ip_address", "created_at", "expires_at", "revoked_at")
    list_select_related: ClassVar = ("user",)
    search_fields: ClassVar = ("user__email",)
    exclude: ClassVar = ("refresh_jti",)
    actions: ClassVar = ("revoke_sessions",)

    @admin.action(description="Revoke selected sessions", permissions=["edit"])
    def revoke_sessions(self, request: HttpRequest, queryset: QuerySet[Session]) -> None:
        """Their tokens stop counting with the next request."""
        for session in queryset:
            self.attempt(
                request,
                sessions.log_out,
                session_id=session.pk,
                actor=self.actor(request),
                now=clock.now(),
            )


@admin.register(AgentKey)
class AgentKeyAdmin(ConsoleAdmin):
    """Keys of remote agents; only their prefixes are known."""

    view_permission = "user.read"
    list_display: ClassVar = ("name", "prefix", "created_at", "revoked_at")
    exclude: ClassVar = ("key_hash",)
