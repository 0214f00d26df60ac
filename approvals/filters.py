"""Query parameters of the list of approvals."""

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters

from approvals import selectors
from approvals.choices import ApprovalStatus
from approvals.models import Approval


class ApprovalFilter(filters.FilterSet):
    """`?status=&action=&task_id=&agent_id=&mine=`."""

    status = filters.ChoiceFilter(choices=ApprovalStatus.choices, method="by_status")
    action = filters.CharFilter()
    task_id = filters.UUIDFilter()
    agent_id = filters.UUIDFilter()
    mine = filters.BooleanFilter(
        method="by_decider", label="true: those that wait for the caller's vote."
    )

    class Meta:
        model = Approval
        fields: list[str] = []

    def by_status(self, rows: QuerySet[Any], _name: str, value: str) -> QuerySet[Any]:
        """As of now: what has expired is not pending any more."""
        found = rows.filter(standing=value)
        return found.filter(status=value) if value == ApprovalStatus.PENDING else found

    def by_decider(self, rows: QuerySet[Any], _name: str, value: Any) -> QuerySet[Any]:
        """Those that wait for the caller; false: all."""
        request: Any = self.request
        return selectors.for_decider(rows, user=request.user) if value else rows
