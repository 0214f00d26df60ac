"""`GET /api/v1/settings/health`."""

from typing import ClassVar, Final

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from hub import components
from kernel.http.viewsets import HubViewSet
from preferences.choices import EDIT

STATES: Final = ("healthy", "degraded")


class ComponentOutput(serializers.Serializer[None]):
    """How one part does: `ok`, `not_configured`, or what is wrong in one word."""

    status = serializers.CharField()


class HealthOutput(serializers.Serializer[None]):
    """How the hub does for the organization."""

    overall = serializers.ChoiceField(STATES)
    components = serializers.DictField(child=ComponentOutput())


class HealthViewSet(HubViewSet):
    """What the hub needs, each part asked."""

    noun = "health"
    http_method_names = ["get"]
    permissions: ClassVar = {"retrieve": EDIT}
    detail = False

    @extend_schema(responses={200: HealthOutput})
    def retrieve(self, request: Request) -> Response:
        """Ask database, Redis, file store, mail server and jobs, within two seconds."""
        return Response(components.report(organization_id=self.organization_id))
