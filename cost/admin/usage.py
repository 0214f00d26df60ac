"""Console page of the usage ledger."""

from typing import ClassVar, cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import User
from cost.choices import DEMO, ESTIMATED_SOURCE
from cost.models import UsageRecord
from cost.selectors import usage
from kernel import display
from kernel.admin import ConsoleAdmin
from kernel.admin_columns import column, exact_time, money_column, recent_values, time_column

TASK = column("task", lambda row: row.task_id, lambda pk: display.page_link("tasks_task", pk))
PROVIDER = column(
    "provider",
    lambda row: row.provider,
    lambda name: "Demo (offline)" if name == DEMO else name,
)


def _price(row: UsageRecord) -> str:
    if row.price_source == ESTIMATED_SOURCE:
        return "estimated"
    return "known" if row.is_priced else "unknown"


PRICE = column("price", _price, display.status)


@admin.register(UsageRecord)
class UsageRecordAdmin(ConsoleAdmin):
    """Model calls of the viewer's organization, newest first."""

    view_permission = "cost.read"
    page_title = "Usage"
    list_display: ClassVar = (
        "model",
        PROVIDER,
        column("tokens", lambda row: f"{row.input_tokens:,} + {row.output_tokens:,}"),
        money_column(),
        PRICE,
        TASK,
        time_column("occurred_at", "occurred"),
        "short_id",
    )
    list_filter: ClassVar = (recent_values("provider"), "is_priced", "occurred_at")
    linked_filters: ClassVar = ("task_id", "agent_id", "execution_id")
    search_fields: ClassVar = ("model",)
    search_help_text = "A part of the model's name, or an id"
    ordering: ClassVar = ("-occurred_at", "-pk")
    fields: ClassVar = (
        "model",
        PROVIDER,
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "cost_usd",
        PRICE,
        "price_source",
        TASK,
        column(
            "execution",
            lambda row: row.execution_id,
            lambda pk: display.page_link("agents_agentexecution", pk),
        ),
        column("agent", lambda row: row.agent_id, lambda pk: display.page_link("agents_agent", pk)),
        exact_time("occurred_at"),
        "whole_id",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[UsageRecord]:
        """The organization's ledger."""
        viewer = cast(User, request.user)  # The console lets nobody else in.
        return usage.list_usage(organization_id=viewer.organization_id)
