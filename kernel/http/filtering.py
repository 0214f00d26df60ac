"""Filters of lists, by query parameters."""

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django_filters.rest_framework import DjangoFilterBackend


class NamedFilters(DjangoFilterBackend):
    """django-filter's backend, left alone unless a parameter of the view's filters is there.

    It builds a form for each request, which most lists are asked for without any need.
    """

    def filter_queryset(self, request: HttpRequest, queryset: QuerySet[Any], view: Any) -> Any:
        """`queryset` as the parameters narrow it; raises DRF's ValidationError (422)."""
        filters = self.get_filterset_class(view, queryset)
        if filters is None:
            return queryset
        # By beginning: a range is asked for as `created_after`, and so on.
        names = tuple(filters.base_filters)
        if not any(parameter.startswith(names) for parameter in request.GET):
            return queryset
        return super().filter_queryset(request, queryset, view)
