"""Routes of `/api/v1/circuit-breakers`."""

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from breakers import choices, selectors
from breakers.choices import Forced
from breakers.errors import BreakerNotFound
from breakers.models import CircuitBreaker
from breakers.operations import standings, switches
from breakers.serializers import BreakerInput, BreakerOutput, SwitchedOutput
from kernel import clock
from kernel.http.pagination import BoundedPagination
from kernel.http.viewsets import HubViewSet
from preferences.choices import EDIT

LATER: Final = "Redis does not answer: workers follow some seconds after it does."
NAMED = [OpenApiParameter("name", OpenApiTypes.STR, OpenApiParameter.PATH)]


class BreakerViewSet(HubViewSet):
    """Who is not called for a while."""

    noun = "circuit_breaker"
    queryset = CircuitBreaker.objects.none()
    serializer_class = BreakerOutput
    missing = BreakerNotFound
    lookup_field = "name"
    http_method_names = ["get", "post"]
    permissions: ClassVar = {
        "list": EDIT,
        "create": EDIT,
        "force_open": EDIT,
        "force_close": EDIT,
        "reset": EDIT,
    }

    @extend_schema(responses={200: BreakerOutput(many=True)})
    def list(self, request: Request) -> Response:
        """Breakers by name, and how they stand."""
        rows = selectors.list_breakers(organization_id=self.organization_id)
        pages = cast("BoundedPagination", self.paginator)
        return pages.get_paginated_response(_shown(pages.paginate_queryset(rows, request, self)))

    @extend_schema(request=BreakerInput, responses={200: BreakerOutput, 201: BreakerOutput})
    def create(self, request: Request) -> Response:
        """Make a breaker, or change the limits of one."""
        limits = self.read(BreakerInput)
        breaker, is_new = switches.configure(
            organization_id=self.organization_id,
            name=limits.pop("name"),
            limits=limits,
            actor=self.actor,
            now=clock.now(),
        )
        return Response(_shown([breaker])[0], status=201 if is_new else 200)

    @extend_schema(request=None, responses={200: SwitchedOutput}, parameters=NAMED)
    @action(detail=True, methods=["post"], url_path="force-open")
    def force_open(self, request: Request, name: str) -> Response:
        """Let no call through until somebody takes it back."""
        return self._force(Forced.OPEN, "Held open: no call goes out until it is reset.")

    @extend_schema(request=None, responses={200: SwitchedOutput}, parameters=NAMED)
    @action(detail=True, methods=["post"], url_path="force-close")
    def force_close(self, request: Request, name: str) -> Response:
        """Let every call through, whatever fails, until somebody takes it back."""
        return self._force(Forced.CLOSED, "Held closed: every call goes out until it is reset.")

    @extend_schema(request=None, responses={200: SwitchedOutput}, parameters=NAMED)
    @action(detail=True, methods=["post"])
    def reset(self, request: Request, name: str) -> Response:
        """Close it, and start counting anew."""
        breaker = switches.reset(
            organization_id=self.organization_id,
            name=self.subject.name,
            actor=self.actor,
            now=clock.now(),
        )
        return _switched(breaker, "Closed; what was counted is forgotten.")

    def _force(self, state: Forced, message: str) -> Response:
        breaker = switches.force(
            organization_id=self.organization_id,
            name=self.subject.name,
            state=state,
            actor=self.actor,
            now=clock.now(),
        )
        return _switched(breaker, message)

    def _load_subject(self, value: Any) -> bool:
        name = str(value)
        if not re.fullmatch(choices.NAME, name):
            raise BreakerNotFound
        self.subject = selectors.get_breaker(organization_id=self.organization_id, name=name)
        return True


def _shown(breakers: Sequence[CircuitBreaker]) -> list[dict[str, Any]]:
    shown = standings.show(breakers=breakers, now=clock.now())
    return list(BreakerOutput(shown, many=True).data)


def _switched(breaker: CircuitBreaker, message: str) -> Response:
    (shown,) = standings.show(breakers=[breaker], now=clock.now())
    if not shown.is_counting:
        message = f"{message} {LATER}"
    found = {
        "service": breaker.name,
        "state": shown.state,
        "counting": shown.is_counting,
        "message": message,
    }
    return Response(SwitchedOutput(found).data)
