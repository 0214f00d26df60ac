"""Console page of the outbox."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from events.choices import list_types
from events.models import OutboxEvent
from kernel import display
from kernel.admin import ConsoleAdmin
from kernel.admin_columns import column, exact_time, recent_values, time_column


@admin.register(OutboxEvent)
class OutboxEventAdmin(ConsoleAdmin):
    """What happened lately, and whether everybody was told."""

    view_permission = "event.read"
    page_title = "Events"
    ordering: ClassVar = ("-pk",)
    list_display: ClassVar = (
        "type",
        "sequence",
        time_column("occurred_at", "occurred"),
        time_column("published_at", "published"),
    )
    list_filter: ClassVar = (recent_values("type"),)
    search_fields: ClassVar = ("type",)
    fields: ClassVar = (
        "type",
        "sequence",
        column("data", lambda event: event.data, display.structure_block),
        exact_time("occurred_at"),
        exact_time("published_at"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """The organization's events of types that the viewer may read, but for other people's."""
        rows = super().get_queryset(request)
        # As on /ws: who may see events need not see those of tasks.
        viewer: Any = request.user
        readable = [kind.name for kind in list_types() if viewer.rights.hold(kind.permission)]
        return rows.filter(Q(user_id=None) | Q(user_id=request.user.pk), type__in=readable)
