"""Routes of `/api/v1/permissions`, `/roles`, `/user-roles` and `/users/{id}/roles`."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, cast
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.choices import SCOPE_KEYS
from accounts.errors import (
    AlreadyGranted,
    Escalation,
    LastHolder,
    RoleInUse,
    RoleNameTaken,
    SystemRole,
)
from accounts.filters import UserRoleFilter
from accounts.models import Role, RoleAssignment, User
from accounts.operations import grants, roles
from accounts.selectors import people
from accounts.selectors import roles as role_selectors
from accounts.serializers.roles import (
    PermissionOutput,
    RoleChange,
    RoleInput,
    RoleOutput,
    RolePermissionsInput,
    UserRoleInput,
    UserRoleOutput,
)
from kernel import clock
from kernel import permissions as catalogue
from kernel.http.viewsets import HubViewSet
from kernel.permissions import ANYONE

CACHED: Final = "public, max-age=300"


class PermissionViewSet(HubViewSet):
    """The catalogue of permissions."""

    noun = "permission"
    queryset = Role.objects.none()
    http_method_names = ["get"]
    permissions: ClassVar = {"list": ANYONE}
    pagination_class = None

    @extend_schema(responses={200: PermissionOutput(many=True)})
    def list(self, request: Request) -> Response:
        """Every permission that roles and API keys can name, by key."""
        known = sorted(catalogue.catalogue().values(), key=lambda permission: permission.key)
        answer = Response(PermissionOutput(known, many=True).data)
        answer["Cache-Control"] = CACHED
        return answer


class RoleViewSet(HubViewSet):
    """Named sets of permissions."""

    noun = "role"
    queryset = Role.objects.none()
    serializer_class = RoleOutput
    http_method_names = ["get", "post", "patch", "put", "delete"]
    permissions: ClassVar = {
        "list": "role.read",
        "create": "role.edit",
        "retrieve": "role.read",
        "partial_update": "role.edit",
        "set_permissions": "role.edit",
        "destroy": "role.edit",
    }
    step_up: ClassVar = frozenset({"create", "partial_update", "set_permissions", "destroy"})
    refusals: ClassVar = {
        "create": (RoleNameTaken, Escalation),
        "partial_update": (RoleNameTaken, SystemRole, Escalation, LastHolder),
        "set_permissions": (Escalation, LastHolder),
        "destroy": (SystemRole, RoleInUse, Escalation, LastHolder),
    }

    def find_subject(self, subject_id: UUID) -> Role:
        """The role of a detail route."""
        return role_selectors.get_role(organization_id=self.organization_id, role_id=subject_id)

    def list(self, request: Request) -> Response:
        """The organization's roles, built-in ones first, then by name."""
        rows = role_selectors.list_roles(organization_id=self.organization_id)
        return self.page(rows, RoleOutput)

    @extend_schema(request=RoleInput, responses={201: RoleOutput})
    def create(self, request: Request) -> Response:
        """Make a role, of permissions that the caller holds."""
        role = roles.create_role(
            organization_id=self.organization_id,
            **self.read(RoleInput),
            giver=caller(request),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(RoleOutput(role).data, status=status.HTTP_201_CREATED)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One role."""
        return Response(RoleOutput(self.subject).data)

    @extend_schema(request=RoleChange, responses={200: RoleOutput})
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change name, description or permissions; built-in roles keep their name."""
        return Response(RoleOutput(self._update(request, self.read(RoleChange))).data)

    @extend_schema(request=RolePermissionsInput, responses={204: None})
    @action(detail=True, methods=["put"], url_path="permissions")
    def set_permissions(self, request: Request, pk: str) -> Response:
        """Replace the whole set of permissions; the caller holds what is new, and what goes."""
        self._update(request, self.read(RolePermissionsInput))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a role that is not built in, of permissions that the caller holds.

        Whoever held it holds it no more.
        """
        roles.delete_role(
            organization_id=self.organization_id,
            role_id=self.subject.pk,
            giver=caller(request),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _update(self, request: Request, values: dict[str, Any]) -> Role:
        return roles.update_role(
            organization_id=self.organization_id,
            role_id=self.subject.pk,
            values=values,
            giver=caller(request),
            actor=self.actor,
            now=clock.now(),
        )


class UserRoleViewSet(HubViewSet):
    """Who holds which role, for what."""

    noun = "user_role"
    queryset = RoleAssignment.objects.none()
    serializer_class = UserRoleOutput
    filterset_class = UserRoleFilter
    http_method_names = ["get", "post", "delete"]
    permissions: ClassVar = {
        "list": "role.read",
        "create": "user_role.edit",
        "retrieve": "role.read",
        "destroy": "user_role.edit",
    }
    step_up: ClassVar = frozenset({"create", "destroy"})
    refusals: ClassVar = {
        "create": (AlreadyGranted, Escalation),
        "destroy": (Escalation, LastHolder),
    }

    def find_subject(self, subject_id: UUID) -> RoleAssignment:
        """The assignment of a detail route."""
        return role_selectors.get_assignment(
            organization_id=self.organization_id, assignment_id=subject_id
        )

    def permission_scope(self, subject: RoleAssignment | None, body: Any) -> Mapping[str, str]:
        """Who may give roles for a project may give and take those for that project."""
        scope = subject.scope if subject else isinstance(body, dict) and body.get("scope")
        if not isinstance(scope, dict) or not set(scope) <= SCOPE_KEYS:
            return {}
        return {key: value for key, value in scope.items() if isinstance(value, str) and value}

    def list(self, request: Request) -> Response:
        """Who holds which role, newest first."""
        rows = role_selectors.list_assignments(organization_id=self.organization_id)
        return self.page(rows, UserRoleOutput)

    @extend_schema(request=UserRoleInput, responses={201: UserRoleOutput})
    def create(self, request: Request) -> Response:
        """Let a person hold a role, of permissions that the caller holds for that scope."""
        assignment = grants.grant_role(
            organization_id=self.organization_id,
            **self.read(UserRoleInput),
            giver=caller(request),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(UserRoleOutput(assignment).data, status=status.HTTP_201_CREATED)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One assignment."""
        return Response(UserRoleOutput(self.subject).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Take the role from the person; the caller holds its permissions for that scope."""
        grants.withdraw_role(
            organization_id=self.organization_id,
            assignment_id=self.subject.pk,
            giver=caller(request),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)


class RolesOfUserViewSet(HubViewSet):
    """The roles of one person."""

    noun = "user"
    queryset = RoleAssignment.objects.none()
    serializer_class = UserRoleOutput
    http_method_names = ["get"]
    permissions: ClassVar = {"roles": "role.read"}

    def find_subject(self, subject_id: UUID) -> User:
        """The person."""
        return people.get_user(organization_id=self.organization_id, user_id=subject_id)

    @extend_schema(responses={200: UserRoleOutput(many=True)})
    @action(detail=True, methods=["get"])
    def roles(self, request: Request, pk: str) -> Response:
        """What they hold, newest first."""
        rows = role_selectors.list_assignments(organization_id=self.organization_id)
        return self.page(rows.filter(user_id=self.subject.pk), UserRoleOutput)


def caller(request: Request) -> User:
    """Who asks; the permission let nobody else in."""
    return cast("User", request.user)
