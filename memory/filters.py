"""Query parameters of the list of memories."""

from django.db.models import QuerySet
from django_filters import rest_framework as filters

from memory.choices import MemoryCategory
from memory.models import Memory


class MemoryFilter(filters.FilterSet):
    """`?category=&search=`."""

    category = filters.ChoiceFilter(choices=MemoryCategory.choices)
    search = filters.CharFilter(method="having", max_length=500, label="A part of the text.")

    class Meta:
        model = Memory
        fields: list[str] = []

    def having(self, rows: QuerySet[Memory], name: str, value: str) -> QuerySet[Memory]:
        """Those whose text has `value`, in any case of its letters."""
        return rows.filter(content__icontains=value.replace("\x00", ""))
