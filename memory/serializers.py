"""Wire shapes of memory (contract 003 B18)."""

from typing import Any

from rest_framework import serializers

from kernel.http.shapes import Metadata, RowOutput, StrictInput
from memory.choices import CONTENT_CHARACTERS, USUAL, MemoryCategory
from memory.models import Memory


class MemoryInput(StrictInput[Any]):
    """`POST /agents/{id}/memories`."""

    content = serializers.CharField(max_length=CONTENT_CHARACTERS)
    category = serializers.ChoiceField(
        choices=MemoryCategory.choices, default=MemoryCategory.GENERAL.value
    )
    importance = serializers.IntegerField(
        default=USUAL, help_text="1 to 10; what lies outside is taken as the nearest."
    )
    metadata = Metadata(default=dict)


class MemoryChange(StrictInput[Any]):
    """`PUT /agents/memories/{id}`: what is absent stays."""

    content = serializers.CharField(max_length=CONTENT_CHARACTERS, required=False)
    category = serializers.ChoiceField(choices=MemoryCategory.choices, required=False)
    importance = serializers.IntegerField(required=False)
    metadata = Metadata(required=False)


class PruneInput(StrictInput[Any]):
    """`POST /agents/{id}/memories/prune`."""

    keep = serializers.IntegerField(min_value=0, max_value=10_000, default=100)


class MemoryOutput(RowOutput[Memory]):
    """One thing that an agent remembers."""

    agent_id = serializers.UUIDField()
    category = serializers.ChoiceField(choices=MemoryCategory.choices)

    class Meta:
        model = Memory
        fields = [
            "id",
            "agent_id",
            "content",
            "category",
            "importance",
            "metadata",
            "execution_id",
            "created_at",
            "updated_at",
        ]


class MemoryStatsOutput(serializers.Serializer[Any]):
    """How much an agent remembers."""

    agent_id = serializers.UUIDField()
    total_count = serializers.IntegerField()
    categories = serializers.DictField(child=serializers.IntegerField())
    avg_importance = serializers.FloatField(help_text="0 when there is none.")
    total_characters = serializers.IntegerField()
    estimated_storage_kb = serializers.FloatField()


class PrunedOutput(serializers.Serializer[Any]):
    """How many were forgotten."""

    pruned_count = serializers.IntegerField()
