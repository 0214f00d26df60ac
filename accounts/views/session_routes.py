"""Seed 004's routes about the caller, at the root: `/currentuser` and `/permissions`."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import RoleAssignment
from accounts.permissions import sent_token
from accounts.selectors import given, people
from accounts.serializers.session_routes import (
    CurrentUserOutput,
    GivenPermissionOutput,
    PermissionScopeOutput,
)
from accounts.views.roles import caller
from kernel.http.agenthub import SessionRouteViewSet
from kernel.permissions import ANYONE


class CurrentUserViewSet(SessionRouteViewSet):
    """The caller's session."""

    noun = "current_user"
    http_method_names = ["get"]
    permissions: ClassVar = {"retrieve": ANYONE}
    detail = False

    @extend_schema(responses={200: CurrentUserOutput})
    def retrieve(self, request: Request) -> Response:
        """Who calls, and by which session."""
        user = caller(request)
        known: Any = request.caller  # type: ignore[attr-defined]  # set by the authentication
        shown = {
            "sessionId": known.session_id or known.key_id,
            "userId": user.pk,
            "email": user.email,
            "fullname": user.full_name,
            "roleId": user.role,
            "tenantId": user.organization_id,
            "tenantCodename": people.get_slug(organization_id=user.organization_id),
        }
        # A page that may not read the cookie must not learn the token from here.
        if known.session_id and (token := sent_token(request)):
            shown["accessToken"] = token
        return _uncached(shown)


class GivenPermissionViewSet(SessionRouteViewSet):
    """What the caller may do."""

    noun = "given_permission"
    queryset = RoleAssignment.objects.none()
    http_method_names = ["get"]
    permissions: ClassVar = {"list": ANYONE, "check_scope": ANYONE}
    pagination_class = None
    detail = False

    @extend_schema(responses={200: GivenPermissionOutput(many=True)})
    def list(self, request: Request) -> Response:
        """Every permission that the caller holds."""
        user = caller(request)
        slug = people.get_slug(organization_id=user.organization_id)
        return _uncached(
            [
                {
                    "id": one.id,
                    "permissionName": one.permission,
                    "roleId": one.role,
                    "subjectUserId": user.pk,
                    "subjectUserGroupId": None,
                    "objectId": one.object_id,
                    "canDo": True,
                    "tenantCodename": slug,
                }
                for one in given.list_given(user=user)
            ]
        )

    @extend_schema(responses={200: PermissionScopeOutput})
    def check_scope(self, request: Request, permissionName: str) -> Response:  # noqa: N803 - seed 004's name
        """Whether the caller holds a permission everywhere, or for which objects alone."""
        held = [g for g in given.list_given(user=caller(request)) if g.permission == permissionName]
        everywhere = any(one.object_id is None for one in held)
        # Nothing here denies: where it is held everywhere, there are no exceptions.
        objects = set() if everywhere else {one.object_id for one in held}
        return _uncached({"canDo": everywhere, "exceptions": sorted(filter(None, objects))})


def _uncached(shown: Any) -> Response:
    answer = Response(shown)
    answer["Cache-Control"] = "private, no-store"
    return answer
