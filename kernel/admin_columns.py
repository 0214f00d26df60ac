"""Columns, fields and filters of console pages."""

from collections.abc import Callable
from typing import Any, Final

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from kernel import clock, display

# The offered values of a filter come from so many of the newest rows: tables grow for ever.
SEEN: Final = 1_000

Column = Callable[[Any], Any]


def column(
    description: str, value: Callable[[Any], Any], shown: Callable[[Any], Any] = str
) -> Column:
    """A column or field that shows `shown(value(row))`."""

    def cell(row: Any) -> Any:
        return shown(value(row))

    cell.__name__ = description.replace(" ", "_").lower()
    cell.short_description = description  # type: ignore[attr-defined]  # as Django reads it
    return cell


def time_column(field: str, description: str) -> Column:
    """A moment, relative to now."""
    return column(
        description,
        lambda row: getattr(row, field),
        lambda moment: display.since(moment, now=clock.now()),
    )


def exact_time(field: str) -> Column:
    """A moment to the second, in UTC."""
    words = field.removesuffix("_at").replace("_", " ")
    return column(f"{words} (UTC)", lambda row: getattr(row, field), display.exact)


def money_column(field: str = "cost_usd", description: str = "cost") -> Column:
    """An amount in US dollars."""
    return column(description, lambda row: getattr(row, field), display.money)


def status_column(field: str = "status") -> Column:
    """A state as a coloured word."""
    return column(
        field,
        lambda row: (getattr(row, field), getattr(row, f"get_{field}_display")()),
        lambda found: display.status(*found),
    )


def recent_values(field: str) -> type[admin.SimpleListFilter]:
    """A filter by the values that the newest rows have; DISTINCT would read the whole table."""

    class RecentValues(admin.SimpleListFilter):
        title = field.replace("_", " ")
        parameter_name = field

        def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
            newest = model_admin.get_queryset(request).order_by(*model_admin.ordering)
            found = newest.values_list(field, flat=True)[:SEEN]
            return [(value, value) for value in sorted({*found}) if value]

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            return queryset.filter(**{field: self.value()}) if self.value() else queryset

    return RecentValues
