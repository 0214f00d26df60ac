"""Questions about people: who is this, and may they."""

from uuid import UUID

from django.db.models import QuerySet

from accounts.choices import UserRole
from accounts.models import ApiKey, Organization, User
from accounts.selectors import rights
from kernel.actors import Actor
from kernel.errors import NotFound


def may(*, user: User, permission: str) -> bool:
    """Whether `user` holds `permission` everywhere."""
    return user.may(permission)


def find_user_by_email(*, email: str) -> User | None:
    """The user with this e-mail in any case of letters, enabled or not."""
    return User.objects.select_related("organization").filter(email=email).first()


def find_administrator(*, organization_id: UUID) -> User | None:
    """The organization's longest-standing active administrator."""
    return (
        User.objects.select_related("organization")
        .filter(
            organization_id=organization_id,
            is_active=True,
            assignments__scope={},
            assignments__role__name=UserRole.ADMIN,
            assignments__role__is_system=True,
        )
        .order_by("created_at", "pk")
        .first()
    )


def list_people(*, organization_id: UUID) -> QuerySet[User]:
    """The organization's people, newest first, with their rights."""
    people = User.objects.filter(organization_id=organization_id)
    return rights.with_rights(people, user="pk").order_by("-created_at", "-pk")


def get_person(*, organization_id: UUID, user_id: UUID) -> User:
    """One of them, with their rights; raises NotFound."""
    user = list_people(organization_id=organization_id).filter(pk=user_id).first()
    if user is None:
        raise NotFound
    return user


def get_user(*, organization_id: UUID, user_id: UUID) -> User:
    """One user of the organization; raises NotFound."""
    user = User.objects.filter(organization_id=organization_id, pk=user_id).first()
    if user is None:
        raise NotFound
    return user


def list_organizations() -> QuerySet[Organization]:
    """Every organization; for commands that the operator types, never for a request."""
    return Organization.objects.order_by("created_at", "pk")


def get_slug(*, organization_id: UUID) -> str:
    """The organization's name in addresses."""
    return Organization.objects.values_list("slug", flat=True).get(pk=organization_id)


def find_person(*, actor: Actor) -> UUID | None:
    """Who answers for what `actor` does: a person, or the owner of a key; None for all others."""
    if actor.type == "user":
        return UUID(actor.id)
    if actor.type != "key":
        return None
    return ApiKey.objects.filter(pk=actor.id).values_list("user_id", flat=True).first()


def actor_of(*, user: User, ip_address: str | None = None, request_id: str = "") -> Actor:
    """The Actor that stands for `user` in operations and audit."""
    return Actor(
        type="user",
        id=str(user.pk),
        label=user.email,
        organization_id=user.organization_id,
        ip_address=ip_address,
        request_id=request_id,
    )
