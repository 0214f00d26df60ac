"""Routes of `/api/v1/agents` and `/api/v1/executions`."""

from typing import ClassVar
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents import selectors
from agents.errors import (
    AgentHasRunningTasks,
    AgentNameTaken,
    AgentNotFound,
    ExecutionNotFound,
)
from agents.filters import AgentFilter, ExecutionFilter
from agents.models import Agent, AgentExecution
from agents.operations import registry
from agents.serializers import (
    AgentInput,
    AgentOutput,
    AgentVersionOutput,
    ExecutionDetailOutput,
    ExecutionOutput,
)
from kernel import clock
from kernel.http.viewsets import HubViewSet


class AgentViewSet(HubViewSet):
    """The registry of agents."""

    noun = "agent"
    queryset = Agent.objects.none()
    serializer_class = AgentOutput
    filterset_class = AgentFilter
    http_method_names = ["get", "post", "patch", "delete"]
    permissions: ClassVar = {
        "list": "agent.read",
        "create": "agent.edit",
        "retrieve": "agent.read",
        "partial_update": "agent.edit",
        "destroy": "agent.edit",
        "start": "agent.run",
        "stop": "agent.run",
        "versions": "agent.read",
    }
    missing = AgentNotFound
    refusals: ClassVar = {
        "create": (AgentNameTaken,),
        "partial_update": (AgentNameTaken,),
        "destroy": (AgentHasRunningTasks,),
    }

    def find_subject(self, subject_id: UUID) -> Agent:
        """The agent of a detail route."""
        return selectors.get_agent(organization_id=self.organization_id, agent_id=subject_id)

    def list(self, request: Request) -> Response:
        """The organization's agents, newest first."""
        return self.page(selectors.list_agents(organization_id=self.organization_id), AgentOutput)

    @extend_schema(request=AgentInput, responses={201: AgentOutput})
    def create(self, request: Request) -> Response:
        """Register an agent; it takes tasks once it is started."""
        agent = registry.create_agent(
            organization_id=self.organization_id,
            values=self.read(AgentInput),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(AgentOutput(agent).data, status=status.HTTP_201_CREATED)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One agent."""
        return Response(AgentOutput(self.subject).data)

    @extend_schema(request=AgentInput, responses={200: AgentOutput})
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change some fields; a changed configuration makes a new version."""
        agent = registry.update_agent(
            organization_id=self.organization_id,
            agent_id=self.subject.pk,
            values=self.read(AgentInput, partial=True),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(AgentOutput(agent).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete the agent; 409 while it has running tasks."""
        registry.delete_agent(
            organization_id=self.organization_id,
            agent_id=self.subject.pk,
            actor=self.actor,
            now=clock.now(),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={200: AgentOutput})
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str) -> Response:
        """Let the agent take tasks."""
        agent = registry.start_agent(
            organization_id=self.organization_id,
            agent_id=self.subject.pk,
            actor=self.actor,
            now=clock.now(),
        )
        return Response(AgentOutput(agent).data)

    @extend_schema(request=None, responses={200: AgentOutput})
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """Take the agent offline; its running tasks go back to the queue."""
        agent = registry.stop_agent(
            organization_id=self.organization_id,
            agent_id=self.subject.pk,
            actor=self.actor,
            now=clock.now(),
        )
        return Response(AgentOutput(agent).data)

    @extend_schema(responses={200: AgentVersionOutput(many=True)}, filters=False)
    @action(detail=True, methods=["get"], filterset_class=None)
    def versions(self, request: Request, pk: str) -> Response:
        """The agent's versions, newest first."""
        rows = selectors.list_versions(
            organization_id=self.organization_id, agent_id=self.subject.pk
        )
        return self.page(rows, AgentVersionOutput)


class ExecutionViewSet(HubViewSet):
    """What happened in each run."""

    noun = "execution"
    queryset = AgentExecution.objects.none()
    serializer_class = ExecutionOutput
    filterset_class = ExecutionFilter
    http_method_names = ["get"]
    permissions: ClassVar = {"list": "execution.read", "retrieve": "execution.read"}
    missing = ExecutionNotFound

    def find_subject(self, subject_id: UUID) -> AgentExecution:
        """The execution of a detail route."""
        return selectors.get_execution(
            organization_id=self.organization_id, execution_id=subject_id
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
        return Response(ExecutionDetailOutput(self.subject).data)
