"""Console page of the outbox."""

from typing import ClassVar

from django.contrib import admin

from events.models import OutboxEvent
from kernel.admin import ConsoleAdmin


@admin.register(OutboxEvent)
class OutboxEventAdmin(ConsoleAdmin):
    """What happened lately, and whether everybody was told."""

    view_permission = "event.read"
    ordering: ClassVar = ("-occurred_at", "-pk")
    list_display: ClassVar = ("type", "sequence", "occurred_at", "published_at", "organization_id")
    list_filter: ClassVar = ("type",)
    search_fields: ClassVar = ("type",)
