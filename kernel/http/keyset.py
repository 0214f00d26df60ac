"""Pages of tables that grow for ever: by where the last page ended, not by rows passed over."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from django.db.models import Q, QuerySet
from rest_framework.request import Request

from kernel.errors import Invalid
from kernel.http.pagination import EXACT_TOTAL, BoundedPagination, Read, whole

CURSOR: Final = "cursor"


@dataclass(frozen=True, slots=True)
class Place:
    """The last row of a page: its instant and its id."""

    at: datetime
    pk: UUID

    def __str__(self) -> str:
        text = f"{self.at.isoformat()} {self.pk}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


class KeysetPagination(BoundedPagination):
    """The same envelope; `next` names the place where the page ended, as `cursor`.

    Lists are newest first by `time_field`, then by `id`, and show both. `offset` works too, for the
    first pages: it reads what it passes over.
    """

    default_limit: ClassVar[int] = 50
    max_limit: ClassVar[int] = 200
    time_field: ClassVar[str] = "created_at"

    def paginate_queryset(
        self, queryset: Any, request: Request, view: Any = None, read: Read | None = None
    ) -> list[Any]:
        """The asked page; a bad cursor raises Invalid (422)."""
        self.request = request
        self.limit = whole(request, "limit", default=self.default_limit, low=1, high=self.max_limit)
        name = "offset" if "offset" in request.query_params else "skip"
        self.offset = whole(request, name, default=0, low=0, high=1_000_000)
        rows = queryset
        if CURSOR in request.query_params:
            rows = self._behind(queryset, _parse(request.query_params[CURSOR]))
        rows = read(rows) if read else rows
        found = list(rows[self.offset : self.offset + self.limit + 1])
        self.more = len(found) > self.limit
        self.total, self.total_exact = self._count(queryset, found)
        page = found[: self.limit]
        self.end = self._place(rows, page[-1]) if self.more else None
        return page

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """The query parameters for the OpenAPI document."""
        parameters = super().get_schema_operation_parameters(view)
        parameters[0]["schema"] |= {"maximum": self.max_limit, "default": self.default_limit}
        cursor = {
            "name": CURSOR,
            "in": "query",
            "required": False,
            "description": "Where the last page ended, as its `next` says.",
            "schema": {"type": "string", "maxLength": 200},
        }
        return [*parameters, cursor]

    def _behind(self, rows: QuerySet[Any], place: Place) -> QuerySet[Any]:
        # The first condition is the index's; the second sorts out those of the same instant.
        return rows.filter(
            Q(**{f"{self.time_field}__lte": place.at})
            & (Q(**{f"{self.time_field}__lt": place.at}) | Q(pk__lt=place.pk))
        )

    def _next(self) -> str | None:
        if self.end is None:
            return None
        query = self.request.query_params.copy()
        for name in ("skip", "offset"):
            query.pop(name, None)
        query["limit"] = str(self.limit)
        query[CURSOR] = str(self.end)
        return f"{self.request.path}?{query.urlencode()}"

    def _count(self, queryset: QuerySet[Any], found: list[Any]) -> tuple[int, bool]:
        if CURSOR not in self.request.query_params:
            return self._total(queryset, len(found))
        count = queryset.order_by()[: EXACT_TOTAL + 1].count()
        return min(count, EXACT_TOTAL), count <= EXACT_TOTAL

    def _place(self, rows: QuerySet[Any], last: Any) -> Place:
        """Of a row, whether it was read as an instance or as bare columns."""
        names = rows.query.values_select
        if not names:
            return Place(getattr(last, self.time_field), last.pk)
        return Place(last[names.index(self.time_field)], last[names.index("id")])


def _parse(text: str) -> Place:
    """Raises Invalid."""
    place: Place | None
    try:
        padded = text + "=" * (-len(text) % 4)
        at, _, pk = base64.b64decode(padded, altchars=b"-_", validate=True).decode().partition(" ")
        place = Place(datetime.fromisoformat(at), UUID(pk))
    except (ValueError, binascii.Error):
        place = None
    if place is None or place.at.utcoffset() is None:
        raise Invalid.field(CURSOR, "Send the cursor of a `next` as it is.")
    return place
