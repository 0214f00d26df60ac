"""Console page of the audit chain."""

from typing import ClassVar

from django.contrib import admin

from audit.models import AuditEvent
from kernel import display
from kernel.admin import (
    ConsoleAdmin,
    column,
    exact_time,
    recent_values,
    time_column,
)


@admin.register(AuditEvent)
class AuditEventAdmin(ConsoleAdmin):
    """Who did what, newest first."""

    view_permission = "audit.read"
    page_title = "Audit"
    ordering: ClassVar = ("-pk",)
    list_display: ClassVar = (
        "action",
        column("actor", lambda event: event.actor_label or event.actor_type),
        "resource_type",
        column("resource", lambda event: event.resource_id, display.identifier),
        time_column("occurred_at", "occurred"),
        column("position", lambda event: event.position or "not sealed yet"),
        "short_id",
    )
    list_filter: ClassVar = (
        recent_values("actor_type"),
        recent_values("resource_type"),
        "occurred_at",
    )
    linked_filters: ClassVar = ("resource_id",)
    search_fields: ClassVar = ("action", "resource_id", "actor_label")
    search_help_text = "A part of action, actor or resource, or an id"
    fieldsets: ClassVar = (
        (
            None,
            {
                "fields": (
                    "action",
                    exact_time("occurred_at"),
                    "actor_type",
                    "actor_label",
                    "actor_id",
                    "resource_type",
                    column("resource", lambda event: event.resource_id, display.whole_identifier),
                    column("details", lambda event: event.details, display.structure_block),
                    "ip_address",
                    "request_id",
                )
            },
        ),
        (
            "Chain",
            {
                "fields": (
                    column("position", lambda event: event.position or "not sealed yet"),
                    "previous_hash",
                    "hash",
                    "whole_id",
                )
            },
        ),
    )
