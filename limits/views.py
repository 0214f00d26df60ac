"""Routes of `/api/v1/limits`."""

from typing import Any, ClassVar, cast
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from kernel import clock
from kernel.http.pagination import BoundedPagination
from kernel.http.viewsets import HubViewSet
from limits import selectors
from limits.errors import LimitExists, LimitNotFound
from limits.models import LimitRule
from limits.operations import rules, standings
from limits.serializers import LimitChange, LimitInput, LimitOutput
from preferences.choices import EDIT


class LimitViewSet(HubViewSet):
    """How much may run at once, and be asked of models in a minute."""

    noun = "limit"
    queryset = LimitRule.objects.none()
    serializer_class = LimitOutput
    http_method_names = ["get", "post", "patch", "delete"]
    permissions: ClassVar = {
        "list": EDIT,
        "create": EDIT,
        "retrieve": EDIT,
        "partial_update": EDIT,
        "destroy": EDIT,
    }
    missing = LimitNotFound
    refusals: ClassVar = {"create": (LimitExists,)}

    def find_subject(self, subject_id: UUID) -> LimitRule:
        """One rule."""
        return selectors.get_limit(organization_id=self.organization_id, limit_id=subject_id)

    @extend_schema(responses={200: LimitOutput(many=True)})
    def list(self, request: Request) -> Response:
        """Rules by scope and name, and how they stand."""
        rows = selectors.list_limits(organization_id=self.organization_id)
        pages = cast("BoundedPagination", self.paginator)
        return pages.get_paginated_response(_shown(*pages.paginate_queryset(rows, request, self)))

    @extend_schema(request=LimitInput, responses={201: LimitOutput})
    def create(self, request: Request) -> Response:
        """Make a rule."""
        limits = self.read(LimitInput)
        rule = rules.create_limit(
            organization_id=self.organization_id,
            scope=limits.pop("scope"),
            name=limits.pop("name"),
            limits=limits,
            actor=self.actor,
            now=clock.now(),
        )
        return Response(_shown(rule)[0], status=201)

    @extend_schema(responses={200: LimitOutput})
    def retrieve(self, request: Request, pk: str) -> Response:
        """One rule, and how it stands."""
        return Response(_shown(self.subject)[0])

    @extend_schema(request=LimitChange, responses={200: LimitOutput})
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change its limits; what waits for it and may now run is woken."""
        rule = rules.change_limit(
            organization_id=self.organization_id,
            limit_id=self.subject.pk,
            limits=self.read(LimitChange, partial=True),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(_shown(rule)[0])

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Remove a rule."""
        rules.delete_limit(
            organization_id=self.organization_id,
            limit_id=self.subject.pk,
            actor=self.actor,
            now=clock.now(),
        )
        return Response(status=204)


def _shown(*rows: LimitRule) -> Any:
    return LimitOutput(standings.show(rules=rows, now=clock.now()), many=True).data
