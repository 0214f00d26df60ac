"""The viewset every resource derives from: who may, which object, whose organization."""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any, ClassVar, cast
from uuid import UUID

from django.db.models import QuerySet
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import GenericViewSet

from kernel import clock, redaction
from kernel.actors import Actor
from kernel.errors import DomainError, Invalid, NotFound
from kernel.http import idempotency, shapes
from kernel.http.limits import Limited
from kernel.http.pagination import BoundedPagination


class HubViewSet(Limited, GenericViewSet[Any]):
    """Order of refusal: 401, 429, 405, 404 (not visible), 403, 422, 409 (contract decisions, 1).

    A subclass names the permission of each action in `permissions` (an action without one is
    refused), answers `find_subject` for detail routes and `get_queryset` for lists.
    """

    permissions: ClassVar[Mapping[str, str]] = {}
    subject: Any = None
    # Of a view, or of some actions: their answers hold secrets and are never stored and repeated.
    one_time_secret: bool = False
    secret_actions: ClassVar[frozenset[str]] = frozenset()
    # Of bodies: where a secret may stand, beside the fields that are write-only.
    secret_fields: ClassVar[frozenset[str]] = frozenset()
    # For the OpenAPI document: what `find_subject` raises; by action, how its operation refuses for
    # reasons of its own (all else follows from the view, `kernel.http.refusals`); in which shape.
    missing: ClassVar[type[DomainError]] = NotFound
    refusals: ClassVar[Mapping[str, Sequence[type[DomainError]]]] = {}
    error_shape: ClassVar[str] = "Problem"
    lookup_value_regex = (
        "[^/]+"  # a malformed id with a dot is 422 like any other, not an unknown route
    )

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """As DRF's, but an object that the caller cannot see is 404 before it is 403."""
        self.format_kwarg = self.get_format_suffix(**kwargs)
        negotiated = self.perform_content_negotiation(request)
        request.accepted_renderer, request.accepted_media_type = negotiated
        self.perform_authentication(request)
        self.charge(request)
        known = not self.authentication_classes or request.user is not None
        if known and request.method not in self.allowed_methods:
            raise MethodNotAllowed(str(request.method))
        self.admit(request, **kwargs)
        self.one_time_secret |= self.action in self.secret_actions
        if request.method == "POST" and idempotency.HEADER in request.headers:
            # Past everything that refuses whatever the body holds; the router binds methods so too.
            self.post = partial(idempotency.answer_once, self, self.post)  # type: ignore[has-type]

    def admit(self, request: Request, **kwargs: Any) -> None:
        """Load the object of a detail route, then ask whether the caller may."""
        malformed = False
        if self.detail and request.user is not None:
            malformed = not self._load_subject(kwargs[self.lookup_url_kwarg or self.lookup_field])
        self.check_permissions(request)
        if malformed:
            raise Invalid.field("id", "Send a UUID.", type="uuid")

    @property
    def actor(self) -> Actor:
        """The authenticated caller."""
        return cast("Actor", self.request.auth)

    @property
    def organization_id(self) -> UUID:
        """The caller's organization: the scope of every selector."""
        if self.actor.organization_id is None:
            raise Invalid(detail="The caller belongs to no organization.")
        return self.actor.organization_id

    def who(self) -> dict[str, Any]:
        """Whose rows, by whom and when: what every operation is told."""
        return {
            "organization_id": self.organization_id,
            "actor": self.actor,
            "now": clock.now(),
        }

    def find_subject(self, subject_id: UUID) -> Any:
        """The object of a detail route; raises NotFound outside of the organization."""
        raise LookupError(f"{type(self).__name__} has detail routes but no find_subject.")

    def read(self, serializer: type[BaseSerializer[Any]], *, partial: bool = False) -> Any:
        """The validated body; raises DRF's ValidationError (422), and SecretInText."""
        if not partial:
            asked = shapes.check(serializer, self.request.data)
        else:
            given = serializer(data=self.request.data, partial=True)
            given.is_valid(raise_exception=True)
            asked = given.validated_data
        self._refuse_secrets(serializer)
        return asked

    def _refuse_secrets(self, serializer: type[BaseSerializer[Any]]) -> None:
        """What is sent here is stored in the clear, but for fields that are for secrets."""
        organization_id = getattr(self.request.auth, "organization_id", None)
        body = self.request.data
        if organization_id is None or not isinstance(body, Mapping):
            return  # a stranger has no organization whose secrets it could name
        hidden = self.secret_fields | _write_only(cast("Any", serializer))
        sent = {name: value for name, value in body.items() if name not in hidden}
        if sent:
            redaction.check(organization_id, sent)

    def page(self, rows: QuerySet[Any], output: type[BaseSerializer[Any]]) -> Response:
        """One page of `rows` in the list envelope, filtered by the view's `filterset_class`."""
        listing = shapes.listing(output)
        pages = cast("BoundedPagination", self.paginator)
        chosen = pages.paginate_queryset(
            self.filter_queryset(rows), self.request, view=self, read=listing.read
        )
        return pages.get_paginated_response(listing.show(chosen))

    def _load_subject(self, value: Any) -> bool:
        try:
            subject_id = UUID(str(value))
        except ValueError:
            return False
        self.subject = self.find_subject(subject_id)
        return True


@cache
def _write_only(serializer: Any) -> frozenset[str]:
    fields: Mapping[str, Any] = getattr(serializer(), "fields", {})
    return frozenset(name for name, field in fields.items() if field.write_only)
