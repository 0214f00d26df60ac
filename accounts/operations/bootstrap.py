"""The first organization, its administrator and its agent key."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db import transaction
from django.utils.text import slugify

from accounts.choices import UserRole
from accounts.models import AgentKey, Organization, User
from accounts.operations import grants, passwords, roles
from accounts.selectors import people as people_selectors
from audit import operations as audit
from kernel.actors import SYSTEM
from kernel.errors import Invalid

FIRST_ADMIN: Final = "admin@hub.example.com"
# Called with now, in bootstrap's transaction and the platform's scope: what other apps give every
# organization. They append themselves in `AppConfig.ready`.
GIVEN: Final[list[Callable[[datetime], None]]] = []


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """What exists now. `password` is set only when it was made up here: show it once."""

    organization: Organization
    user: User
    created: bool
    password: str | None = field(default=None, repr=False)


@transaction.atomic
def bootstrap(
    *, organization: str, email: str, password: str, agent_key: str, now: datetime
) -> Bootstrapped:
    """Make the organization and its administrator unless they exist.

    Without an `email` any active administrator will do, else FIRST_ADMIN is made; another address
    makes another administrator. An existing one keeps the password, whatever `password` says.
    Raises Invalid for a password or agent key that is too weak.
    """
    owner = _organization(organization, now)
    for every in people_selectors.list_organizations():
        roles.offer_permissions(organization=every, now=now)
    for give in GIVEN:
        give(now)
    if agent_key:
        _ensure_agent_key(owner, agent_key, now)
    user = (
        people_selectors.find_user_by_email(email=email)
        if email
        else people_selectors.find_administrator(organization_id=owner.pk)
    )
    if user is not None:
        return Bootstrapped(organization=user.organization, user=user, created=False)
    chosen = password or passwords.make()
    email = email or FIRST_ADMIN
    user = User(organization=owner, email=email, full_name="Administrator")
    passwords.check(password=chosen, user=user)
    user.set_password(chosen)
    user.save()
    grants.give_first_role(user=user, role=UserRole.ADMIN)
    audit.record(
        actor=SYSTEM,
        organization_id=owner.pk,
        action="user.create",
        resource_type="user",
        resource_id=user.pk,
        details={"email": email, "role": str(UserRole.ADMIN)},
        now=now,
    )
    return Bootstrapped(
        organization=owner, user=user, created=True, password=None if password else chosen
    )


def hash_key(key: str) -> str:
    """The stored form of a key: HMAC-SHA256 (hex) under the hub's secret."""
    return hmac.new(settings.SECRET_KEY.encode(), key.encode(), hashlib.sha256).hexdigest()


def _organization(name: str, now: datetime) -> Organization:
    slug = slugify(name)[:64] or "default"
    organization, created = Organization.objects.get_or_create(
        slug=slug, defaults={"name": name[:255]}
    )
    if created:
        audit.record(
            actor=SYSTEM,
            organization_id=organization.pk,
            action="organization.create",
            resource_type="organization",
            resource_id=organization.pk,
            details={"name": organization.name},
            now=now,
        )
    return organization


def _ensure_agent_key(organization: Organization, key: str, now: datetime) -> None:
    if len(key) < 16:
        raise Invalid.field("HUB_AGENT_KEY", "Use at least 16 random characters.")
    stored, created = AgentKey.objects.get_or_create(
        key_hash=hash_key(key),
        defaults={"organization": organization, "name": "first", "prefix": key[:4]},
    )
    if created:
        audit.record(
            actor=SYSTEM,
            organization_id=organization.pk,
            action="agent_key.create",
            resource_type="agent_key",
            resource_id=stored.pk,
            now=now,
        )
