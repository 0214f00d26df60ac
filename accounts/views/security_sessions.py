"""Routes of sessions: everybody's under `/security/sessions`, one's own under `/auth/sessions`."""

from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.choices import SECURITY
from accounts.filters import SessionFilter
from accounts.models import Session
from accounts.operations import sessions
from accounts.selectors import sessions as selectors
from accounts.serializers.sessions import SessionOutput
from accounts.views.auth import caller
from kernel import clock
from kernel.http.viewsets import HubViewSet
from kernel.permissions import PERSON


class OwnSessionViewSet(HubViewSet):
    """Where the caller is logged in."""

    noun = "own_session"
    queryset = Session.objects.none()
    serializer_class = SessionOutput
    http_method_names = ["get", "delete"]
    permissions: ClassVar = {"list": PERSON, "destroy": PERSON}

    def find_subject(self, subject_id: UUID) -> Session:
        """The session of a detail route, alive or not."""
        return selectors.get_one(
            organization_id=self.organization_id, session_id=subject_id, **self._whose()
        )

    def list(self, request: Request) -> Response:
        """Those that count, newest first."""
        rows = selectors.list_shown(
            organization_id=self.organization_id,
            current_id=getattr(request, "session_id", None),
            now=clock.now(),
            **self._whose(),
        )
        return self.page(rows, SessionOutput)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """End one; its tokens stop counting with the next request."""
        sessions.revoke(session_id=self.subject.pk, actor=self.actor, now=clock.now())
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _whose(self) -> dict[str, UUID]:
        return {"user_id": caller(self.request).pk}


class SecuritySessionViewSet(OwnSessionViewSet):
    """Where the people of the organization are logged in."""

    noun = "session"
    filterset_class = SessionFilter
    permissions: ClassVar = {"list": SECURITY, "destroy": SECURITY}

    def _whose(self) -> dict[str, UUID]:
        return {}
