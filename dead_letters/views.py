"""Routes of `/api/v1/dead-letter`."""

from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from dead_letters import selectors
from dead_letters.errors import AlreadyDead, AlreadyRedriven, LetterNotFound, TaskNotDead
from dead_letters.filters import LetterFilter
from dead_letters.models import DeadLetter
from dead_letters.operations import redrives
from dead_letters.serializers import (
    AllRedrivenOutput,
    LetterGroupsOutput,
    LetterInput,
    LetterOutput,
    LetterStatsOutput,
    RedriveInput,
    RedrivenOutput,
)
from kernel.errors import Conflict
from kernel.http.viewsets import HubViewSet
from preferences.choices import EDIT
from tasks.errors import TaskNotFound


class DeadLetterViewSet(HubViewSet):
    """Tasks that failed for good, until somebody retries or removes them."""

    noun = "dead_letter"
    queryset = DeadLetter.objects.none()
    serializer_class = LetterOutput
    filterset_class = LetterFilter
    http_method_names = ["get", "post", "delete"]
    permissions: ClassVar = {
        "list": EDIT,
        "create": EDIT,
        "destroy": EDIT,
        "retry": EDIT,
        "retry_all": EDIT,
        "stats": EDIT,
        "groups": EDIT,
    }
    missing = LetterNotFound
    refusals: ClassVar = {
        "create": (TaskNotFound, TaskNotDead, AlreadyDead, Conflict),
        "retry": (AlreadyRedriven, Conflict),
        "destroy": (Conflict,),
    }

    def find_subject(self, subject_id: UUID) -> DeadLetter:
        """The letter of the task that the route names."""
        return selectors.get_letter(organization_id=self.organization_id, task_id=subject_id)

    def list(self, request: Request) -> Response:
        """The open ones, the latest failure first."""
        return self.page(selectors.list_letters(organization_id=self.organization_id), LetterOutput)

    @extend_schema(request=LetterInput, responses={201: LetterOutput})
    def create(self, request: Request) -> Response:
        """Add a failed task, or give one up that has not ended."""
        letter = redrives.add_letter(**self.read(LetterInput), **self.who())
        return Response(LetterOutput(letter).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Take it out of the list; the task stays failed."""
        redrives.remove_letter(task_id=self.subject.task_id, **self.who())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={200: RedrivenOutput})
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        """Put the task back to work as if it were new."""
        letter = redrives.redrive_letter(task_id=self.subject.task_id, **self.who())
        return Response(RedrivenOutput(letter).data)

    @extend_schema(request=RedriveInput, responses={200: AllRedrivenOutput})
    @action(detail=False, methods=["post"], url_path="retry-all")
    def retry_all(self, request: Request) -> Response:
        """Put up to a hundred back to work, those that wait longest first."""
        asked = self.read(RedriveInput)
        if "agent_id" in asked:
            asked["task__agent_id"] = asked.pop("agent_id")
        done = redrives.redrive_letters(**asked, **self.who())
        more = " There are more: ask again." if done.has_more else ""
        answer = {
            "retried_count": done.count,
            "has_more": done.has_more,
            "message": f"{done.count} tasks are back at work.{more}",
        }
        return Response(AllRedrivenOutput(answer).data)

    @extend_schema(responses={200: LetterStatsOutput}, filters=False)
    @action(detail=False, methods=["get"], pagination_class=None, filterset_class=None)
    def stats(self, request: Request) -> Response:
        """How many wait, by priority."""
        counted = selectors.count_letters(organization_id=self.organization_id)
        return Response(LetterStatsOutput(counted).data)

    @extend_schema(responses={200: LetterGroupsOutput}, filters=False)
    @action(detail=False, methods=["get"], pagination_class=None, filterset_class=None)
    def groups(self, request: Request) -> Response:
        """Those that wait, by failures that look alike."""
        found = selectors.list_groups(organization_id=self.organization_id)
        return Response(LetterGroupsOutput({"items": found}).data)
