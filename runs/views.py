"""Routes of direct runs: `/api/v1/agents/{id}/run`, `/stream`, and the same by name (seed 004).

Django makes the run and answers 202 with a ticket; the front (`hub.front.runs`) waits for the end
and answers in its place.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final
from uuid import UUID

import orjson
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from agents import selectors as agents
from agents.choices import ExecutionSource
from agents.errors import AgentDisabled, AgentNotFound
from agents.models import Agent
from agents.operations import effective
from breakers.errors import BreakerOpen
from kernel import clock
from kernel.http import idempotency
from kernel.http.agenthub import AgentHubViewSet
from kernel.http.viewsets import HubViewSet
from preferences.choices import EDIT
from runs import selectors
from runs.choices import RunStatus
from runs.errors import (
    AgentNotStarted,
    ConversationNotFound,
    ProviderNotConfigured,
    TooManyRuns,
)
from runs.operations import refreshing, starting
from runs.operations.starting import Asked
from runs.operations.waiting import Ticket
from runs.selectors import Outcome
from runs.serializers import (
    AgentCallInput,
    AgentCallOutput,
    InvalidatedOutput,
    NamedToolsOutput,
    RefreshedOutput,
    RunInput,
    RunOutput,
    RunStartedOutput,
)
from tools import selectors as tools
from tools.models import CatalogTool

REFUSALS: Final = (
    ConversationNotFound,
    AgentDisabled,
    AgentNotStarted,
    TooManyRuns,
    ProviderNotConfigured,
    BreakerOpen,
)
LOGIN: Final = "Authentication required"
# 202 is told where the hub is served without its front: nobody waits there.
STREAM: Final[Mapping[Any, Any]] = {
    (200, "text/event-stream"): OpenApiTypes.STR,
    202: RunStartedOutput,
}


class RunDoor(HubViewSet):
    """Begins runs, and leaves word for the front how each is waited for."""

    queryset = Agent.objects.none()
    http_method_names = ["post"]
    permissions: ClassVar = {"run": "agent.run", "stream": "agent.run"}
    missing = AgentNotFound
    refusals: ClassVar = {"run": REFUSALS, "stream": REFUSALS}
    streams: ClassVar = frozenset({"stream"})

    def begin(self, asked: Asked) -> Response:
        """Make the run."""
        user: User = self.request.user  # type: ignore[assignment]  # past the authentication
        source = ExecutionSource.SSE if self.action in self.streams else ExecutionSource.REST
        task = starting.start_run(
            agent=self.subject,
            asked=asked,
            source=source,
            user_id=user.pk,
            actor=self.actor,
            now=clock.now(),
        )
        return Response(RunStartedOutput(task).data, status=status.HTTP_202_ACCEPTED)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """With the ticket, on an answer that is repeated too."""
        answer: Any = super().finalize_response(request, response, *args, **kwargs)
        if answer.status_code == status.HTTP_202_ACCEPTED:
            told = answer.data if isinstance(answer, Response) else orjson.loads(answer.content)
            answer.ticket = self._ticket(request, told)
        return answer

    def _ticket(self, request: Request, told: Mapping[str, Any]) -> Ticket:
        caller: Any = request.caller  # type: ignore[attr-defined]  # set by the authentication
        return Ticket(
            organization_id=self.organization_id,
            task_id=UUID(told["task_id"]),
            conversation_id=UUID(told["conversation_id"]),
            user_id=caller.user.pk,
            session_id=caller.session_id,
            key_id=caller.key_id,
            actor=self.actor,
            is_stream=self.action in self.streams,
            outlives_client=idempotency.HEADER in request.headers,
            show=self.show,
        )

    @staticmethod
    def show(outcome: Outcome) -> tuple[int, Mapping[str, Any]]:
        """How the end is told: always 200, because the run began (contract decisions, 33)."""
        return status.HTTP_200_OK, RunOutput(outcome).data


class RunViewSet(RunDoor):
    """Runs of an agent of the registry."""

    noun = "agent"

    def find_subject(self, subject_id: Any) -> Agent:
        """The agent that is asked."""
        return agents.get_agent(organization_id=self.organization_id, agent_id=subject_id)

    @extend_schema(request=RunInput, responses={200: RunOutput, 202: RunStartedOutput})
    @action(detail=True, methods=["post"])
    def run(self, request: Request, pk: str) -> Response:
        """Run the agent and wait for its answer; whoever hangs up cancels it."""
        return self.begin(Asked(**self.read(RunInput)))

    @extend_schema(request=RunInput, responses=STREAM)
    @action(detail=True, methods=["post"])
    def stream(self, request: Request, pk: str) -> Response:
        """Run the agent and see its answer come, as server-sent events (docs/api.md)."""
        return self.begin(Asked(**self.read(RunInput)))


class NamedAgentViewSet(AgentHubViewSet, RunDoor):
    """The same by the agent's name, in seed 004's words (contract 004 C4)."""

    noun = "named_agent"
    lookup_field = "agentName"
    login_message = LOGIN
    permissions: ClassVar = {**RunDoor.permissions, "invalidate": EDIT}
    inputs: ClassVar = {"run": AgentCallInput, "stream": AgentCallInput}

    def admit(self, request: Request, **kwargs: Any) -> None:
        """In seed 004's order, with a name for an id."""
        if request.user is None:
            self.permission_denied(request)
        self.read_parameters(request)
        self.check_permissions(request)
        self.subject = selectors.get_named_agent(
            organization_id=self.organization_id, name=kwargs["agentName"]
        )

    @extend_schema(request=AgentCallInput, responses={200: AgentCallOutput, 202: RunStartedOutput})
    def run(self, request: Request, agentName: str) -> Response:  # noqa: N803 - seed 004's name
        """Run the agent and wait for its answer; a run that fails is 500, and one that waits for a
        person is 409 and goes on after the decision."""
        return self.begin(self._wanted())

    @extend_schema(request=AgentCallInput, responses=STREAM)
    def stream(self, request: Request, agentName: str) -> Response:  # noqa: N803 - the same
        """Run the agent and see its answer come, as server-sent events."""
        return self.begin(self._wanted())

    @extend_schema(request=None, responses={200: InvalidatedOutput})
    def invalidate(self, request: Request, agentName: str) -> Response:  # noqa: N803 - the same
        """Have every process read the configuration of agents anew."""
        effective.forget(organization_id=self.organization_id)
        told = {"success": True, "message": f"Agent {self.subject.name} is read anew."}
        return Response(InvalidatedOutput(told).data)

    def _wanted(self) -> Asked:
        named = self.asked.get("conversationId") or self.asked.get("sessionId")
        return Asked(prompt=self.asked["prompt"], conversation_id=named)

    @staticmethod
    def show(outcome: Outcome) -> tuple[int, Mapping[str, Any]]:
        """The answer, or why there is none."""
        if outcome.status == RunStatus.SUCCESS:
            told: Any = AgentCallOutput({"success": True, "data": outcome})
            return status.HTTP_200_OK, told.data
        if outcome.goes_on:
            # Not 500: nothing failed, and whoever asks again would begin a second run.
            told = {"result": "ERR", "message": outcome.error, "taskId": str(outcome.task_id)}
            return status.HTTP_409_CONFLICT, told
        word = "cancelled" if outcome.status == RunStatus.CANCELLED else outcome.error
        return status.HTTP_500_INTERNAL_SERVER_ERROR, {"result": "ERR", "message": word}


class NamedToolViewSet(AgentHubViewSet):
    """Seed 004's tools, by name (contract 004 C4)."""

    noun = "named_tool"
    queryset = CatalogTool.objects.none()
    http_method_names = ["get", "post"]
    permissions: ClassVar = {"list": "tool.read", "refresh": EDIT}
    pagination_class = None
    login_message = LOGIN

    @extend_schema(responses={200: NamedToolsOutput})
    def list(self, request: Request) -> Response:
        """All tools of the catalogue."""
        found = list(tools.list_tools(organization_id=self.organization_id))
        told = {"success": True, "count": len(found), "tools": found}
        return Response(NamedToolsOutput(told).data)

    @extend_schema(request=None, responses={200: RefreshedOutput})
    def refresh(self, request: Request) -> Response:
        """Have every source asked for its tools, soon."""
        count = refreshing.refresh_tools(
            organization_id=self.organization_id, actor=self.actor, now=clock.now()
        )
        told = {"success": True, "message": f"{count} sources are asked.", "count": count}
        return Response(RefreshedOutput(told).data)
