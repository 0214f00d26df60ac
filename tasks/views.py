"""Routes of `/api/v1/tasks`."""

from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from kernel import clock
from kernel.http.viewsets import HubViewSet
from tasks import selectors
from tasks.filters import TaskFilter
from tasks.models import Task
from tasks.operations import requests
from tasks.serializers import TaskChange, TaskInput, TaskOutput, TaskStatsOutput


class TaskViewSet(HubViewSet):
    """Work for agents."""

    noun = "task"
    queryset = Task.objects.none()
    serializer_class = TaskOutput
    filterset_class = TaskFilter
    http_method_names = ["get", "post", "patch"]
    permissions: ClassVar = {
        "list": "task.read",
        "create": "task.edit",
        "stats": "task.read",
        "retrieve": "task.read",
        "partial_update": "task.edit",
        "cancel": "task.edit",
    }

    def find_subject(self, subject_id: UUID) -> Task:
        """The task of a detail route."""
        return selectors.get_task(organization_id=self.organization_id, task_id=subject_id)

    def list(self, request: Request) -> Response:
        """The organization's tasks, newest first."""
        return self.page(selectors.list_tasks(organization_id=self.organization_id), TaskOutput)

    @extend_schema(request=TaskInput, responses={201: TaskOutput})
    def create(self, request: Request) -> Response:
        """Create a task; without `agent_id` the hub picks an agent that fits."""
        task = requests.create_task(
            organization_id=self.organization_id,
            values=self.read(TaskInput),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(TaskOutput(task).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses={200: TaskStatsOutput}, filters=False)
    @action(detail=False, methods=["get"], pagination_class=None)
    def stats(self, request: Request) -> Response:
        """How many tasks there are, by status and by priority."""
        counted = selectors.count_tasks(organization_id=self.organization_id)
        return Response(TaskStatsOutput(counted).data)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One task with its result."""
        return Response(TaskOutput(self.subject).data)

    @extend_schema(request=TaskChange, responses={200: TaskOutput})
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change some fields; a new status must follow the machine of states (409)."""
        task = requests.update_task(
            organization_id=self.organization_id,
            task_id=self.subject.pk,
            values=self.read(TaskChange),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(TaskOutput(task).data)

    @extend_schema(request=None, responses={200: TaskOutput})
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Cancel a task that has not ended."""
        task = requests.cancel_task(
            organization_id=self.organization_id,
            task_id=self.subject.pk,
            actor=self.actor,
            now=clock.now(),
        )
        return Response(TaskOutput(task).data)
