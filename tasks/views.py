"""Routes of `/api/v1/tasks`."""

from typing import ClassVar, cast
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from kernel import clock
from kernel.errors import Conflict
from kernel.http.viewsets import HubViewSet
from tasks.errors import (
    AgentFull,
    RetriesExhausted,
    TaskAwaitsApproval,
    TaskFixed,
    TaskNotCancellable,
    TaskNotFound,
    TransitionRefused,
)
from tasks.filters import TaskFilter
from tasks.models import Task
from tasks.operations import requests
from tasks.selectors import explanations, tasks
from tasks.serializers import (
    AttemptOutput,
    ExplanationOutput,
    TaskBulkInput,
    TaskBulkOutput,
    TaskChange,
    TaskInput,
    TaskOutput,
    TaskStatsOutput,
)


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
        "bulk": "task.edit",
        "stats": "task.read",
        "retrieve": "task.read",
        "partial_update": "task.edit",
        "cancel": "task.edit",
        "attempts": "task.read",
        "explain": "task.read",
    }
    missing = TaskNotFound
    refusals: ClassVar = {
        "partial_update": (
            TransitionRefused,
            TaskAwaitsApproval,
            TaskFixed,
            RetriesExhausted,
            AgentFull,
            Conflict,
        ),
        "cancel": (TaskNotCancellable, Conflict),
    }

    def find_subject(self, subject_id: UUID) -> Task:
        """The task of a detail route."""
        return tasks.get_task(organization_id=self.organization_id, task_id=subject_id)

    def list(self, request: Request) -> Response:
        """The organization's tasks, newest first."""
        return self.page(tasks.list_tasks(organization_id=self.organization_id), TaskOutput)

    @extend_schema(request=TaskInput, responses={201: TaskOutput})
    def create(self, request: Request) -> Response:
        """Create a task; without `agent_id` the hub picks an agent that fits."""
        task = requests.create_task(
            organization_id=self.organization_id,
            values={**self.read(TaskInput), "user_id": self._asking},
            actor=self.actor,
            now=clock.now(),
        )
        return Response(TaskOutput(task).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=TaskBulkInput, responses={201: TaskBulkOutput})
    @action(detail=False, methods=["post"])
    def bulk(self, request: Request) -> Response:
        """Create up to 1,000 tasks, all or none; errors name the index: `tasks.17.title`."""
        created = requests.create_tasks(
            organization_id=self.organization_id,
            values=[
                {**each, "user_id": self._asking} for each in self.read(TaskBulkInput)["tasks"]
            ],
            actor=self.actor,
            now=clock.now(),
        )
        answer = {"items": created, "created": len(created)}
        return Response(TaskBulkOutput(answer).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses={200: TaskStatsOutput}, filters=False)
    @action(detail=False, methods=["get"], pagination_class=None)
    def stats(self, request: Request) -> Response:
        """How many tasks there are, by status and by priority."""
        counted = tasks.count_tasks(organization_id=self.organization_id)
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

    @extend_schema(responses={200: AttemptOutput(many=True)}, filters=False)
    @action(detail=True, methods=["get"], filterset_class=None)
    def attempts(self, request: Request, pk: str) -> Response:
        """The attempts at the task, first to last, each with its execution."""
        rows = tasks.list_attempts(organization_id=self.organization_id, task_id=self.subject.pk)
        chosen = self.paginate_queryset(rows) or []
        runs = tasks.list_runs(organization_id=self.organization_id, attempts=chosen)
        return self.get_paginated_response(AttemptOutput(runs, many=True).data)

    @extend_schema(responses={200: ExplanationOutput})
    @action(detail=True, methods=["get"])
    def explain(self, request: Request, pk: str) -> Response:
        """Why the task does not run, or what it does."""
        explained = explanations.explain_task(task=self.subject, now=clock.now())
        return Response(ExplanationOutput(explained, context={"request": request}).data)

    @property
    def _asking(self) -> UUID:
        """Who may not approve what the task then asks for; a key stands for its owner."""
        return cast("User", self.request.user).pk
