"""Routes of `/api/v1/agents/{id}/memories` and `/api/v1/agents/memories/{id}`."""

from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from agents import selectors as agents
from agents.errors import AgentNotFound
from agents.models import Agent
from kernel import clock
from kernel.http.viewsets import HubViewSet
from memory import selectors
from memory.errors import MemoryNotFound, MemoryTaken
from memory.filters import MemoryFilter
from memory.models import Memory
from memory.operations import memories
from memory.serializers import (
    MemoryChange,
    MemoryInput,
    MemoryOutput,
    MemoryStatsOutput,
    PrunedOutput,
    PruneInput,
)


class AgentMemoryViewSet(HubViewSet):
    """What one agent remembers."""

    noun = "agent_memory"
    queryset = Memory.objects.none()
    serializer_class = MemoryOutput
    filterset_class = MemoryFilter
    http_method_names = ["get", "post"]
    permissions: ClassVar = {
        "memories": "memory.read",
        "create_memory": "memory.edit",
        "prune": "memory.edit",
        "memory_stats": "memory.read",
    }
    missing = AgentNotFound

    def find_subject(self, subject_id: UUID) -> Agent:
        """The agent."""
        return agents.get_agent(organization_id=self.organization_id, agent_id=subject_id)

    @extend_schema(responses={200: MemoryOutput(many=True)})
    @action(detail=True, methods=["get"])
    def memories(self, request: Request, pk: str) -> Response:
        """What the agent remembers: the most important first, of those the newest."""
        rows = selectors.list_memories(
            organization_id=self.organization_id, agent_id=self.subject.pk
        )
        return self.page(rows, MemoryOutput)

    @extend_schema(request=MemoryInput, responses={201: MemoryOutput})
    @memories.mapping.post
    def create_memory(self, request: Request, pk: str) -> Response:
        """Let the agent remember something; the same text again changes the rest."""
        memory = memories.save_memory(
            agent_id=self.subject.pk, values=self.read(MemoryInput), **self.who()
        )
        return Response(MemoryOutput(memory).data, status=201)

    @extend_schema(request=PruneInput, responses={200: PrunedOutput})
    @action(detail=True, methods=["post"], url_path="memories/prune")
    def prune(self, request: Request, pk: str) -> Response:
        """Forget all but the most important, of those the newest."""
        count = memories.prune_memories(
            agent_id=self.subject.pk, keep=self.read(PruneInput)["keep"], **self.who()
        )
        return Response(PrunedOutput({"pruned_count": count}).data)

    @extend_schema(responses={200: MemoryStatsOutput}, filters=False)
    @action(detail=True, methods=["get"], url_path="memory-stats", pagination_class=None)
    def memory_stats(self, request: Request, pk: str) -> Response:
        """How much the agent remembers."""
        measured = selectors.measure(organization_id=self.organization_id, agent_id=self.subject.pk)
        return Response(MemoryStatsOutput(measured).data)


class MemoryViewSet(HubViewSet):
    """One thing that an agent remembers."""

    noun = "memory"
    queryset = Memory.objects.none()
    serializer_class = MemoryOutput
    http_method_names = ["get", "put", "delete"]
    permissions: ClassVar = {
        "retrieve": "memory.read",
        "update": "memory.edit",
        "destroy": "memory.edit",
    }
    missing = MemoryNotFound
    refusals: ClassVar = {"update": (MemoryTaken,)}

    def find_subject(self, subject_id: UUID) -> Memory:
        """The memory."""
        return selectors.get_memory(organization_id=self.organization_id, memory_id=subject_id)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One memory."""
        return Response(MemoryOutput(self.subject).data)

    @extend_schema(request=MemoryChange, responses={200: MemoryOutput})
    def update(self, request: Request, pk: str) -> Response:
        """Change what is given."""
        memory = memories.update_memory(
            organization_id=self.organization_id,
            memory_id=self.subject.pk,
            values=self.read(MemoryChange),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(MemoryOutput(memory).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Forget it."""
        memories.delete_memory(
            organization_id=self.organization_id,
            memory_id=self.subject.pk,
            actor=self.actor,
            now=clock.now(),
        )
        return Response(status=204)
