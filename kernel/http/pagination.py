"""Pages: bounded, in a fixed order, honest about how much there is."""

from collections.abc import Callable
from typing import Any, Final

from django.core.exceptions import ImproperlyConfigured
from django.db.models import QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response

from kernel.errors import Invalid

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
# Counting further would read a growing table whole for a number that nobody pages to.
EXACT_TOTAL: Final = 10_000


Read = Callable[[QuerySet[Any]], QuerySet[Any]]


class BoundedPagination(BasePagination):
    """`{items, total, total_exact, limit, offset, next}`; `skip` is another name for `offset`."""

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any = None, read: Read | None = None
    ) -> list[Any]:
        """The asked page of `queryset`, which must be ordered down to its primary key.

        `read` says as what the rows are read; it does not touch how they are counted.
        """
        if not queryset.query.order_by or str(queryset.query.order_by[-1]).lstrip("-") != "pk":
            raise ImproperlyConfigured(f"{type(view).__name__} lists rows in no fixed order.")
        self.request = request
        self.limit = whole(request, "limit", default=DEFAULT_LIMIT, low=1, high=MAX_LIMIT)
        name = "offset" if "offset" in request.query_params else "skip"
        self.offset = whole(request, name, default=0, low=0, high=1_000_000)
        rows = list((read or _same)(queryset)[self.offset : self.offset + self.limit + 1])
        self.more = len(rows) > self.limit
        self.total, self.total_exact = self._total(queryset, len(rows))
        return rows[: self.limit]

    def get_paginated_response(self, data: Any) -> Response:
        """The page as the envelope of architecture §4."""
        return Response(
            {
                "items": data,
                "total": self.total,
                "total_exact": self.total_exact,
                "limit": self.limit,
                "offset": self.offset,
                "next": self._next(),
            }
        )

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The envelope for the OpenAPI document."""
        return {
            "type": "object",
            "required": ["items", "total", "total_exact", "limit", "offset", "next"],
            "properties": {
                "items": schema,
                "total": {"type": "integer", "description": "Matching rows."},
                "total_exact": {
                    "type": "boolean",
                    "description": f"False when there are more than {EXACT_TOTAL} rows.",
                },
                "limit": {"type": "integer"},
                "offset": {"type": "integer"},
                "next": {"type": "string", "nullable": True, "description": "The next page."},
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """The query parameters for the OpenAPI document."""
        bounds: list[tuple[str, dict[str, Any], str]] = [
            ("limit", {"minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}, "Page size."),
            ("offset", {"minimum": 0, "default": 0}, "Rows to pass over; also `skip`."),
        ]
        return [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": text,
                "schema": {"type": "integer", **bound},
            }
            for name, bound, text in bounds
        ]

    def _total(self, queryset: QuerySet[Any], seen: int) -> tuple[int, bool]:
        if not self.more and (seen or not self.offset):
            return self.offset + seen, True
        count = queryset.order_by()[: EXACT_TOTAL + 1].count()
        return min(count, EXACT_TOTAL), count <= EXACT_TOTAL

    def _next(self) -> str | None:
        if not self.more:
            return None
        query = self.request.query_params.copy()
        query.pop("skip", None)
        query["limit"], query["offset"] = str(self.limit), str(self.offset + self.limit)
        return f"{self.request.path}?{query.urlencode()}"


def _same(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows


def whole(request: Request, name: str, *, default: int, low: int, high: int) -> int:
    """Query parameter `name` as a whole number; a larger one than `high` is cut to it.

    Raises Invalid (422) for anything else.
    """
    value = request.query_params.get(name)
    if value is None:
        return default
    if not (value.isascii() and value.isdecimal()) or len(value) > 9 or int(value) < low:
        raise Invalid.field(name, f"Send a whole number from {low} to {high}.")
    return min(int(value), high)
