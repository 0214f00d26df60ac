"""Query parameters of the list of dead letters."""

from django_filters import rest_framework as filters

from dead_letters.models import DeadLetter
from tasks.choices import TaskPriority


class LetterFilter(filters.FilterSet):
    """`?error_type=&group=&priority=&agent_id=`."""

    error_type = filters.CharFilter(max_length=64)
    group = filters.CharFilter(max_length=16)
    priority = filters.ChoiceFilter(choices=TaskPriority.choices)
    agent_id = filters.UUIDFilter(field_name="task__agent_id")

    class Meta:
        model = DeadLetter
        fields: list[str] = []
