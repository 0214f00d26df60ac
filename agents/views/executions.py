"""Routes of `/api/v1/executions`, and the same runs in seed 004's words."""

from collections.abc import Mapping
from typing import Any, ClassVar, cast
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from agents import selectors
from agents.errors import (
    ExecutionIsRunning,
    ExecutionNotFound,
    NothingRecorded,
    OutputNotFound,
)
from agents.filters import AgentExecutionFilter, ExecutionFilter
from agents.models import AgentExecution, StepOutput
from agents.operations import forks, replays
from agents.operations.forks import Fork
from agents.operations.replays import Replay
from agents.serializers.agenthub import AgentExecutionOutput
from agents.serializers.executions import (
    ExecutionDetailOutput,
    ExecutionOutput,
    ForkInput,
    ForkOutput,
    ReplayInput,
    WholeOutput,
)
from kernel import clock
from kernel.http.agenthub import AgentHubViewSet, envelope, envelope_page
from kernel.http.viewsets import HubViewSet
from preferences.choices import EDIT

DATA_NAME = "sys_agentExecution"


class ExecutionViewSet(HubViewSet):
    """What happened in each run."""

    noun = "execution"
    queryset = AgentExecution.objects.none()
    serializer_class = ExecutionOutput
    filterset_class = ExecutionFilter
    http_method_names = ["get", "post"]
    permissions: ClassVar = {
        "list": "execution.read",
        "retrieve": "execution.read",
        "fork": "agent.run",
        "replay": "agent.run",
    }
    missing = ExecutionNotFound
    refusals: ClassVar = {
        "fork": (ExecutionIsRunning,),
        "replay": (ExecutionIsRunning, NothingRecorded),
    }

    def find_subject(self, subject_id: UUID) -> AgentExecution:
        """The execution of a detail route."""
        return selectors.get_execution(
            organization_id=self.organization_id,
            execution_id=subject_id,
            with_steps=self.action == "retrieve",
        )

    def list(self, request: Request) -> Response:
        """The organization's runs, newest first."""
        rows: QuerySet[AgentExecution] = selectors.list_executions(
            organization_id=self.organization_id
        )
        return self.page(rows, ExecutionOutput)

    @extend_schema(responses={200: ExecutionDetailOutput})
    def retrieve(self, request: Request, pk: str) -> Response:
        """One run with its timeline: model turns and tool calls in order."""
        shown = ExecutionDetailOutput(self.subject, context={"now": clock.now()})
        return Response(shown.data)

    @extend_schema(request=ForkInput, responses={201: ForkOutput})
    @action(detail=True, methods=["post"])
    def fork(self, request: Request, pk: str) -> Response:
        """Begin a task that goes on after a step of this run; nothing before it is done again."""
        task_id = forks.fork_execution(
            organization_id=self.organization_id,
            execution_id=self.subject.pk,
            fork=Fork(**self.read(ForkInput)),
            user_id=cast("User", request.user).pk,
            actor=self.actor,
            now=clock.now(),
        )
        return _begun(task_id)

    @extend_schema(request=ReplayInput, responses={201: ForkOutput})
    @action(detail=True, methods=["post"])
    def replay(self, request: Request, pk: str) -> Response:
        """Begin a task that plays this run again, with the model's recorded answers; it costs
        nothing."""
        task_id = replays.replay_execution(
            organization_id=self.organization_id,
            execution_id=self.subject.pk,
            replay=Replay(**self.read(ReplayInput)),
            user_id=cast("User", request.user).pk,
            actor=self.actor,
            now=clock.now(),
        )
        return _begun(task_id)

    def permission_scope(self, subject: AgentExecution | None, body: Any) -> Mapping[str, str]:
        """Both run an agent; a role may be given for one."""
        runs = subject is not None and self.permissions.get(self.action) == "agent.run"
        return {"agent_id": str(subject.agent_id)} if subject and runs else {}


def _begun(task_id: UUID) -> Response:
    begun = {"task_id": task_id, "task_link": reverse("task-detail", args=[task_id])}
    return Response(ForkOutput(begun).data, status=201)


class ToolOutputViewSet(HubViewSet):
    """What tools returned, where the model was given a part of it."""

    noun = "tool_output"
    queryset = StepOutput.objects.none()
    serializer_class = WholeOutput
    http_method_names = ["get"]
    permissions: ClassVar = {"retrieve": "execution.read"}
    missing = OutputNotFound

    def find_subject(self, subject_id: UUID) -> StepOutput:
        """The output of the step of that id."""
        return selectors.get_output(organization_id=self.organization_id, step_id=subject_id)

    def retrieve(self, request: Request, pk: str) -> Response:
        """All of one output; `whole_result_link` of a step leads here."""
        return Response(WholeOutput(self.subject).data)


class AgentExecutionViewSet(AgentHubViewSet):
    """Runs that have ended (contract 004 C2).

    Who may change settings is an administrator in 004's sense and sees all; others see their own.
    """

    noun = "agent_execution"
    data_name = DATA_NAME
    lookup_url_kwarg = "sys_agentExecutionId"
    queryset = AgentExecution.objects.none()
    filterset_class = AgentExecutionFilter
    http_method_names = ["get"]
    permissions: ClassVar = {"list": "execution.read", "retrieve": "execution.read"}
    apis: ClassVar = {"list": "listAgentExecutions", "retrieve": "getAgentExecution"}
    missing = ExecutionNotFound

    def find_subject(self, subject_id: UUID) -> AgentExecution:
        """The run of a detail route."""
        return selectors.get_ended_run(
            organization_id=self.organization_id, execution_id=subject_id, user_id=self._whose()
        )

    @extend_schema(responses={200: envelope_page(DATA_NAME, AgentExecutionOutput)})
    def list(self, request: Request) -> Response:
        """Runs, newest first; input and output are cut at 10,000 characters."""
        rows = selectors.list_ended_runs(
            organization_id=self.organization_id, user_id=self._whose()
        )
        return self.page(rows, AgentExecutionOutput)

    @extend_schema(responses={200: envelope(DATA_NAME, AgentExecutionOutput)})
    def retrieve(self, request: Request, sys_agentExecutionId: str) -> Response:  # noqa: N803 - seed 004's name
        """One run, whole."""
        return self.answer(AgentExecutionOutput(self.subject).data)

    def _whose(self) -> UUID | None:
        user = cast("User", self.request.user)
        return None if user.may(EDIT) else user.pk
