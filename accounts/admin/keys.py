"""Console pages of keys: people's and remote agents'."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from accounts.choices import SECURITY
from accounts.models import AgentKey, ApiKey
from accounts.operations import api_keys
from kernel import clock, display
from kernel.admin import ConsoleAdmin, confirmed
from kernel.admin_columns import column, exact_time, time_column


def _key_state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "alive" if key.is_alive(now=clock.now()) else "expired"


STATE = column("state", _key_state, display.status)


class StateFilter(admin.SimpleListFilter):
    """Whether they still open anything, and if not why."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """As the column says it."""
        return [("alive", "Alive"), ("revoked", "Revoked"), ("expired", "Expired")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """A revoked key does not expire any more."""
        expired = Q(expires_at__lte=clock.now())
        wanted = {
            "alive": Q(revoked_at=None) & ~expired,
            "revoked": Q(revoked_at__isnull=False),
            "expired": Q(revoked_at=None) & expired,
        }
        return queryset.filter(wanted.get(self.value() or "", Q()))


SCOPES = column("scopes", lambda key: ", ".join(key.scopes))


@admin.register(ApiKey)
class ApiKeyAdmin(ConsoleAdmin):
    """Everybody's API keys; each person makes their own on the page Account."""

    view_permission = SECURITY
    audited_as = ("api_key", "name")
    edit_permission = SECURITY
    page_title = "API keys"
    list_display: ClassVar = (
        "name",
        "user",
        STATE,
        "prefix",
        SCOPES,
        time_column("last_used_at", "last used"),
        time_column("expires_at", "expires"),
        "short_id",
    )
    list_select_related: ClassVar = ("user",)
    list_filter: ClassVar = (StateFilter,)
    search_fields: ClassVar = ("name", "user__email")
    fields: ClassVar = (
        "name",
        "user",
        STATE,
        "prefix",
        SCOPES,
        exact_time("created_at"),
        exact_time("last_used_at"),
        exact_time("expires_at"),
        exact_time("revoked_at"),
        "whole_id",
    )
    actions_detail: ClassVar = ("revoke_key",)

    @confirmed(
        "Revoke key",
        "Whatever uses it is refused with its next request.",
        available=lambda key: key.is_alive(now=clock.now()),
    )
    def revoke_key(self, request: HttpRequest, key: ApiKey) -> None:
        """End it, whoever made it."""
        self.attempt(
            request,
            api_keys.revoke_key,
            organization_id=key.organization_id,
            key_id=key.pk,
            actor=self.actor(request),
            now=clock.now(),
        )


@admin.register(AgentKey)
class AgentKeyAdmin(ConsoleAdmin):
    """Keys of remote agents; only their prefixes are known."""

    list_before_template = "console/agent_keys.html"

    view_permission = SECURITY
    audited_as = ("agent_key", "name")
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
