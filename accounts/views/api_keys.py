"""Routes of `/api/v1/security/api-keys`: one's own keys, and nobody else's."""

from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.choices import API_KEYS
from accounts.errors import TooManyKeys
from accounts.models import ApiKey
from accounts.operations import api_keys
from accounts.selectors import keys
from accounts.serializers.sessions import ApiKeyInput, ApiKeyOutput, NewApiKeyOutput
from accounts.views.auth import caller
from kernel import clock
from kernel.http.viewsets import HubViewSet
from kernel.permissions import PERSON


class ApiKeyViewSet(HubViewSet):
    """Keys by which programs act for the caller.

    Making one needs `api_key.edit`; whoever has lost that may still see and revoke what they made.
    """

    noun = "api_key"
    queryset = ApiKey.objects.none()
    serializer_class = ApiKeyOutput
    http_method_names = ["get", "post", "delete"]
    permissions: ClassVar = {"list": PERSON, "create": API_KEYS, "destroy": PERSON}
    step_up: ClassVar = frozenset({"create"})
    secret_actions = frozenset({"create"})
    refusals: ClassVar = {"create": (TooManyKeys,)}

    def find_subject(self, subject_id: UUID) -> ApiKey:
        """The key of a detail route."""
        return keys.get_own(user_id=caller(self.request).pk, key_id=subject_id)

    def list(self, request: Request) -> Response:
        """Keys that are not revoked, newest first."""
        return self.page(keys.list_own(user_id=caller(request).pk), ApiKeyOutput)

    @extend_schema(request=ApiKeyInput, responses={201: NewApiKeyOutput})
    def create(self, request: Request) -> Response:
        """Make a key; it is in this answer and in no other."""
        made = api_keys.create_key(
            user=caller(request), **self.read(ApiKeyInput), actor=self.actor, now=clock.now()
        )
        shown = {**ApiKeyOutput(made.row).data, "key": made.key}
        return Response(shown, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Revoke a key; it stops counting with the next request."""
        api_keys.revoke_key(
            organization_id=self.organization_id,
            key_id=self.subject.pk,
            actor=self.actor,
            now=clock.now(),
        )
        return Response(status=status.HTTP_204_NO_CONTENT)
