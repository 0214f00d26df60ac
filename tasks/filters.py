"""Query parameters of the list of tasks."""

from django_filters import rest_framework as filters

from tasks.choices import TaskPriority, TaskStatus
from tasks.models import Task


class TaskFilter(filters.FilterSet):
    """`?status_filter=&priority=&agent_id=`."""

    status_filter = filters.ChoiceFilter(field_name="status", choices=TaskStatus.choices)
    priority = filters.ChoiceFilter(choices=TaskPriority.choices)
    agent_id = filters.UUIDFilter(field_name="agent_id")

    class Meta:
        model = Task
        fields: list[str] = []
