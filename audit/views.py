"""Routes of `/api/v1/audit-events` and `/api/v1/admin/audit`."""

from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from audit import operations
from audit.filters import EventQuery, wanted
from audit.models import AuditEvent
from audit.selectors import checkpoints, events
from audit.serializers import (
    AdminEventOutput,
    CheckpointOutput,
    EventOutput,
    KeyOutput,
    KeysOutput,
    VerdictOutput,
    VerifyInput,
)
from kernel import clock
from kernel.http.keyset import KeysetPagination
from kernel.http.pagination import BoundedPagination
from kernel.http.viewsets import HubViewSet


class EventPages(KeysetPagination):
    """As contract 002 A14 bounds them."""

    default_limit = 100
    max_limit = 1000
    time_field = "occurred_at"


class AuditEventViewSet(HubViewSet):
    """Who did what, and whether it is all still there."""

    noun = "audit_event"
    queryset = AuditEvent.objects.none()
    http_method_names = ["get", "post"]
    permissions: ClassVar = {
        "list": "audit.read",
        "retrieve": "audit.read",
        "public_key": "audit.read",
        "checkpoints": "audit.read",
        "verify": "audit.read",
    }
    pagination_class = EventPages

    def find_subject(self, subject_id: UUID) -> AuditEvent:
        """One event."""
        return events.get_event(organization_id=self.organization_id, event_id=subject_id)

    @extend_schema(parameters=[EventQuery], responses={200: EventOutput(many=True)})
    def list(self, request: Request) -> Response:
        """Events, newest first."""
        rows = events.list_events(organization_id=self.organization_id, wanted=wanted(request))
        return self.page(rows, EventOutput)

    @extend_schema(responses={200: EventOutput})
    def retrieve(self, request: Request, pk: str) -> Response:
        """One event."""
        return Response(EventOutput(self.subject).data)

    @extend_schema(responses={200: KeysOutput})
    @action(detail=False, url_path="public-key", pagination_class=None)
    def public_key(self, request: Request) -> Response:
        """The key that signs checkpoints and exports; keep it where the hub's owner cannot."""
        keys = KeyOutput(checkpoints.list_keys(), many=True).data
        return Response({**keys[0], "keys": keys})

    @extend_schema(responses={200: CheckpointOutput(many=True)})
    @action(detail=False, pagination_class=BoundedPagination)
    def checkpoints(self, request: Request) -> Response:
        """Signatures over the chain, newest first."""
        rows = checkpoints.list_checkpoints(organization_id=self.organization_id)
        return self.page(rows, CheckpointOutput)

    @extend_schema(request=VerifyInput, responses={200: VerdictOutput})
    @action(detail=False, methods=["post"])
    def verify(self, request: Request) -> Response:
        """Walk along the chain: up to 20,000 rows a call, the newest unless said otherwise."""
        verdict = operations.verify_chain(
            organization_id=self.organization_id,
            first=self.read(VerifyInput).get("from_position"),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(VerdictOutput(verdict).data)


class AdminAuditViewSet(HubViewSet):
    """The same chain in the words of seed 003."""

    noun = "admin_audit"
    queryset = AuditEvent.objects.none()
    http_method_names = ["get"]
    permissions: ClassVar = {"list": "audit.export"}
    pagination_class = EventPages

    @extend_schema(parameters=[EventQuery], responses={200: AdminEventOutput(many=True)})
    def list(self, request: Request) -> Response:
        """Events, newest first."""
        rows = events.list_events(organization_id=self.organization_id, wanted=wanted(request))
        return self.page(rows, AdminEventOutput)
