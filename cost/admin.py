"""Console page of the usage ledger."""

from typing import ClassVar, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import User
from cost import selectors
from cost.models import UsageRecord
from kernel.admin import ConsoleAdmin


@admin.register(UsageRecord)
class UsageRecordAdmin(ConsoleAdmin):
    """Model calls of the viewer's organization, newest first."""

    view_permission = "cost.read"
    list_display: ClassVar = (
        "occurred_at",
        "provider",
        "model",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "is_priced",
        "task_id",
    )
    list_filter: ClassVar = ("provider", "is_priced")
    search_fields: ClassVar = ("model",)
    search_help_text = "A part of the model's name."
    ordering: ClassVar = ("-occurred_at", "-pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[UsageRecord]:
        """The organization's ledger."""
        viewer = cast(User, request.user)  # The console lets nobody else in.
        return selectors.list_usage(organization_id=viewer.organization_id)
