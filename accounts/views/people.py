"""Routes of `/api/v1/admin/users`."""

from typing import Any, ClassVar, Final
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import (
    EmailTaken,
    Escalation,
    LastHolder,
    MfaNotEnabled,
    NoPassword,
    OwnAccount,
)
from accounts.filters import PersonFilter
from accounts.models import User
from accounts.operations import people, recovery
from accounts.selectors import people as people_selectors
from accounts.serializers.people import (
    PasswordResetInput,
    PasswordResetOutput,
    PersonChange,
    PersonInput,
    PersonOutput,
)
from accounts.views.roles import caller
from kernel import clock
from kernel.http.viewsets import HubViewSet

# What no API key does: passwords and factors are not theirs.
RECOVERY: Final = frozenset({"reset_password", "reset_mfa", "unlock"})


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
        **dict.fromkeys(RECOVERY, "user_role.edit"),
    }
    persons_only = RECOVERY
    secret_actions = frozenset({"reset_password"})
    step_up: ClassVar = frozenset({"create", "partial_update", *RECOVERY})
    refusals: ClassVar = {
        "create": (EmailTaken, Escalation),
        "partial_update": (LastHolder, OwnAccount, Escalation),
        "reset_password": (OwnAccount, Escalation, NoPassword),
        "reset_mfa": (OwnAccount, Escalation, MfaNotEnabled),
        "unlock": (OwnAccount, Escalation),
    }

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

        All but the name only of people who may do no more than the caller. Disabling ends their
        sessions and API keys with the next request. The role replaces those that they hold
        everywhere; what they hold for a scope stays.
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

    @extend_schema(request=PasswordResetInput, responses={200: PasswordResetOutput})
    @action(detail=True, methods=["post"], url_path="reset-password")
    def reset_password(self, request: Request, pk: str) -> Response:
        """Give somebody a password that they must change as soon as they log in with it.

        Without `password` one is made up; it is in this answer and in no other. All their sessions
        end, and locks are lifted. Not for oneself, not for people who may do more than the caller,
        and not for those whom only an identity provider lets in.
        """
        asked = self.read(PasswordResetInput)["password"]
        password = recovery.reset_password(**self._whom(), password=asked)
        return Response({"password": None if asked else password, "must_change": True})

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"])
    def unlock(self, request: Request, pk: str) -> Response:
        """Let somebody try again at once whom too many wrong passwords or codes locked out.

        Not oneself, and not people who may do more than the caller.
        """
        recovery.unlock(**self._whom())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"], url_path="reset-mfa")
    def reset_mfa(self, request: Request, pk: str) -> Response:
        """Take a lost second factor from somebody; all their sessions end.

        Not from oneself, and not from people who may do more than the caller.
        """
        recovery.reset_mfa(**self._whom())
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _whom(self) -> dict[str, Any]:
        return {
            "organization_id": self.organization_id,
            "user_id": self.subject.pk,
            "giver": caller(self.request),
            "actor": self.actor,
            "now": clock.now(),
        }
