"""Query parameters of the lists of agents and executions."""

from django_filters import rest_framework as filters

from agents.choices import AgentStatus, ExecutionStatus
from agents.models import Agent, AgentExecution


class AgentFilter(filters.FilterSet):
    """`?status_filter=&role=`."""

    status_filter = filters.ChoiceFilter(field_name="status", choices=AgentStatus.choices)
    role = filters.CharFilter(field_name="role", max_length=64)

    class Meta:
        model = Agent
        fields: list[str] = []


class ExecutionFilter(filters.FilterSet):
    """`?task_id=&agent_id=&status_filter=`."""

    task_id = filters.UUIDFilter(field_name="task_id")
    agent_id = filters.UUIDFilter(field_name="agent_id")
    status_filter = filters.ChoiceFilter(field_name="status", choices=ExecutionStatus.choices)

    class Meta:
        model = AgentExecution
        fields: list[str] = []
