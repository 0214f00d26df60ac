"""Console page of the audit chain."""

from typing import ClassVar

from django.contrib import admin

from audit.models import AuditEvent
from kernel.admin import ConsoleAdmin


@admin.register(AuditEvent)
class AuditEventAdmin(ConsoleAdmin):
    """Who did what, newest first."""

    view_permission = "audit.read"
    ordering: ClassVar = ("-pk",)
    list_display: ClassVar = (
        "occurred_at",
        "action",
        "actor_type",
        "actor_label",
        "resource_type",
        "resource_id",
        "position",
    )
    list_filter: ClassVar = ("actor_type", "resource_type")
    search_fields: ClassVar = ("action", "resource_id", "actor_label")
