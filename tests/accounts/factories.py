"""Organizations and people for tests."""

from datetime import datetime
from itertools import count
from typing import Final

from django.contrib.auth.hashers import make_password

from accounts import selectors
from accounts.choices import UserRole
from accounts.models import Organization, User
from accounts.operations import sessions
from kernel import clock
from kernel.actors import Actor

PASSWORD: Final = "correct horse battery staple"
# Hashing is slow on purpose; one hash serves all.
_HASH: Final = make_password(PASSWORD)
_numbers = count(1)


def make_organization(*, name: str = "") -> Organization:
    """An active organization."""
    number = next(_numbers)
    return Organization.objects.create(name=name or f"Organization {number}", slug=f"org-{number}")


def make_user(
    organization: Organization, *, role: UserRole = UserRole.ADMIN, email: str = ""
) -> User:
    """An active user whose password is PASSWORD."""
    return User.objects.create(
        organization=organization,
        email=email or f"{role}-{next(_numbers)}@example.com",
        full_name=f"The {role}",
        role=role,
        password=_HASH,
    )


def make_actor(user: User) -> Actor:
    """The Actor of `user`."""
    return selectors.actor_of(user=user)


def make_token(user: User, *, now: datetime | None = None) -> str:
    """An access token of a new session."""
    issued = sessions.issue_tokens(user=user, actor=make_actor(user), now=now or clock.now())
    return issued.access
