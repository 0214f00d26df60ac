"""Query parameters of the list of tasks."""

from django_filters import rest_framework as filters

from agents.choices import ExecutionSource
from limits.choices import NAME_LENGTH
from tasks.choices import TaskPriority, TaskStatus
from tasks.models import Task


class TaskFilter(filters.FilterSet):
    """`?status_filter=&priority=&agent_id=&source=&concurrency_key=`."""

    status_filter = filters.ChoiceFilter(field_name="status", choices=TaskStatus.choices)
    priority = filters.ChoiceFilter(choices=TaskPriority.choices)
    agent_id = filters.UUIDFilter(field_name="agent_id")
    source = filters.ChoiceFilter(choices=ExecutionSource.choices)
    concurrency_key = filters.CharFilter(max_length=NAME_LENGTH)

    class Meta:
        model = Task
        fields: list[str] = []
