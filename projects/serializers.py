"""Wire shapes of projects and environments (contract 002 A7)."""

from typing import Any

from rest_framework import serializers

from kernel.http.shapes import RowOutput
from projects.choices import EnvironmentType, ProjectStatus
from projects.models import Environment, Project


class ProjectInput(serializers.Serializer[Any]):
    """`POST /projects`."""

    name = serializers.CharField(max_length=255)
    owner_team_id = serializers.UUIDField(required=False, allow_null=True)


class ProjectStatusInput(serializers.Serializer[Any]):
    """`PUT /projects/{id}/status`."""

    status = serializers.ChoiceField(ProjectStatus.choices)


class ProjectOutput(RowOutput[Project]):
    """A project."""

    class Meta:
        model = Project
        fields = ["id", "name", "owner_team_id", "status", "created_at", "updated_at"]
        read_only_fields = fields


class EnvironmentInput(serializers.Serializer[Any]):
    """`POST /environments`."""

    project_id = serializers.UUIDField()
    name = serializers.CharField(max_length=255)
    type = serializers.ChoiceField(EnvironmentType.choices, default=EnvironmentType.OTHER)


class EnvironmentOutput(RowOutput[Environment]):
    """An environment."""

    class Meta:
        model = Environment
        fields = ["id", "project_id", "name", "type", "created_at", "updated_at"]
        read_only_fields = fields
