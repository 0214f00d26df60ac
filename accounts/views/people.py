"""Routes of `/api/v1/admin/users`."""

from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.filters import PersonFilter
from accounts.models import User
from accounts.operations import people
from accounts.selectors import people as people_selectors
from accounts.serializers.people import PersonChange, PersonInput, PersonOutput
from accounts.views.roles import caller
from kernel import clock
from kernel.http.viewsets import HubViewSet


class PersonViewSet(HubViewSet):
    """People of the organization, for those who administer them."""

    noun = "admin_user"
    queryset = User.objects.none()
    serializer_class = PersonOutput
    filterset_class = PersonFilter
    http_method_names = ["get", "post", "patch"]
    permissions: ClassVar = {
        "list": "user_role.edit",
        "create": "user_role.edit",
        "retrieve": "user_role.edit",
        "partial_update": "user_role.edit",
    }
    step_up: ClassVar = frozenset({"create", "partial_update"})

    def find_subject(self, subject_id: UUID) -> User:
        """The person of a detail route."""
        return people_selectors.get_person(organization_id=self.organization_id, user_id=subject_id)

    def list(self, request: Request) -> Response:
        """Everybody, newest first."""
        rows = people_selectors.list_people(organization_id=self.organization_id)
        return self.page(rows, PersonOutput)

    @extend_schema(request=PersonInput, responses={201: PersonOutput})
    def create(self, request: Request) -> Response:
        """Add a person, with a role whose permissions the caller holds."""
        user = people.create_user(
            organization_id=self.organization_id,
            **self.read(PersonInput),
            giver=caller(request),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(PersonOutput(user).data, status=status.HTTP_201_CREATED)

    def retrieve(self, request: Request, pk: str) -> Response:
        """One person."""
        return Response(PersonOutput(self.subject).data)

    @extend_schema(request=PersonChange, responses={200: PersonOutput})
    def partial_update(self, request: Request, pk: str) -> Response:
        """Rename, disable or enable a person, or give them another role.

        Disabling ends their sessions and API keys with the next request. The role replaces those
        that they hold everywhere; what they hold for a scope stays.
        """
        user = people.update_user(
            organization_id=self.organization_id,
            user_id=self.subject.pk,
            values=self.read(PersonChange),
            giver=caller(request),
            actor=self.actor,
            now=clock.now(),
        )
        return Response(PersonOutput(user).data)
