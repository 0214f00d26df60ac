"""Routes of `/api/v1/agents`."""

from typing import ClassVar, Final
from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents import selectors
from agents.errors import (
    AgentHasRunningTasks,
    AgentIsOverridden,
    AgentNameTaken,
    AgentNotFound,
    AgentVersionIsCurrent,
    AgentVersionNotFound,
)
from agents.filters import AgentFilter
from agents.models import Agent, AgentVersion
from agents.operations import registry, versions
from agents.serializers.agents import (
    AgentInput,
    AgentOutput,
    AgentVersionOutput,
    VersionDiffOutput,
)
from kernel import clock
from kernel.errors import Invalid
from kernel.http.viewsets import HubViewSet

VERSION: Final = r"versions/(?P<number>[^/]+)"
NUMBERED: Final = [OpenApiParameter("number", OpenApiTypes.INT, OpenApiParameter.PATH)]


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
        "version": "agent.read",
        "compare": "agent.read",
        "rollback": "agent.edit",
    }
    missing = AgentNotFound
    refusals: ClassVar = {
        "create": (AgentNameTaken,),
        "partial_update": (AgentNameTaken, AgentIsOverridden),
        "destroy": (AgentHasRunningTasks,),
        "version": (AgentVersionNotFound,),
        "compare": (AgentVersionNotFound,),
        "rollback": (AgentVersionNotFound, AgentVersionIsCurrent),
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

    @extend_schema(responses={200: AgentVersionOutput}, parameters=NUMBERED)
    @action(detail=True, methods=["get"], url_path=VERSION)
    def version(self, request: Request, pk: str, number: str) -> Response:
        """One version of the agent."""
        return Response(AgentVersionOutput(self._version(number)).data)

    @extend_schema(
        responses={200: VersionDiffOutput},
        parameters=[
            *NUMBERED,
            OpenApiParameter(
                "with",
                OpenApiTypes.INT,
                description="What it is compared with; the version before it, unless given.",
            ),
        ],
    )
    @action(detail=True, methods=["get"], url_path=f"{VERSION}/diff")
    def compare(self, request: Request, pk: str, number: str) -> Response:
        """What this version has otherwise than another one, field by field."""
        after = self._version(number)
        other = request.query_params.get("with", str(max(1, after.number - 1)))
        before = self._version(other, name="with")
        changes = selectors.compare_versions(before=before, after=after)
        found = {"before": before.number, "after": after.number, "changes": changes}
        return Response(VersionDiffOutput(found).data)

    @extend_schema(request=None, responses={200: AgentOutput}, parameters=NUMBERED)
    @action(detail=True, methods=["post"], url_path=f"{VERSION}/rollback")
    def rollback(self, request: Request, pk: str, number: str) -> Response:
        """Give the agent a new version with the configuration of this one."""
        agent = versions.roll_back_agent(
            organization_id=self.organization_id,
            agent_id=self.subject.pk,
            number=parse_number(number),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(AgentOutput(agent).data)

    def _version(self, number: str, *, name: str = "number") -> AgentVersion:
        return selectors.get_version(
            organization_id=self.organization_id,
            agent_id=self.subject.pk,
            number=parse_number(number, name=name),
        )


def parse_number(text: str, *, name: str = "number") -> int:
    """The number of a version; raises Invalid."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 9:
        raise Invalid.field(name, "Send the number of a version.")
    return int(text)
