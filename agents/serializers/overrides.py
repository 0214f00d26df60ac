"""Wire shapes of what an override was."""

from typing import Any

from rest_framework import serializers

from agents.choices import ResponseFormat
from agents.models import AgentOverrideRevision
from kernel.http.shapes import RowOutput


class OverriddenOutput(serializers.Serializer[Any]):
    """What an override changes; null is as designed."""

    provider = serializers.CharField(allow_null=True)
    model = serializers.CharField(allow_null=True)
    system_prompt = serializers.CharField(allow_null=True)
    temperature = serializers.FloatField(allow_null=True)
    max_tokens = serializers.IntegerField(allow_null=True)
    response_format = serializers.ChoiceField(ResponseFormat.choices, allow_null=True)
    selected_tools = serializers.ListField(child=serializers.CharField(), allow_null=True)
    guardrails = serializers.DictField(
        child=serializers.IntegerField(allow_null=True), allow_null=True
    )
    enabled = serializers.BooleanField()


class OverrideRevisionOutput(RowOutput[AgentOverrideRevision]):
    """An override as one write left it; `number` is its `recordVersion` then."""

    values = OverriddenOutput()

    class Meta:
        model = AgentOverrideRevision
        fields = ["number", "values", "created_by", "created_at"]
