"""Organizations and people for tests."""

from datetime import datetime
from itertools import count
from typing import Final

from django.contrib.auth.hashers import make_password
from django.db.models import Func, Value

from accounts.choices import UserRole
from accounts.models import Organization, Role, User
from accounts.operations import grants, roles, sessions
from accounts.selectors import people
from kernel import clock
from kernel.actors import Actor

PASSWORD: Final = "correct horse battery staple"
# Hashing is slow on purpose; one hash serves all.
_HASH: Final = make_password(PASSWORD)
_numbers = count(1)


def make_organization(*, name: str = "") -> Organization:
    """An active organization."""
    number = next(_numbers)
    made = Organization.objects.create(name=name or f"Organization {number}", slug=f"org-{number}")
    roles.offer_permissions(organization=made, now=clock.now())
    return made


def make_user(
    organization: Organization, *, role: UserRole = UserRole.ADMIN, email: str = ""
) -> User:
    """An active user whose password is PASSWORD."""
    user = User.objects.create(
        organization=organization,
        email=email or f"{role}-{next(_numbers)}@example.com",
        full_name=f"The {role}",
        password=_HASH,
    )
    grants.give_first_role(user=user, role=role)
    return user


def set_role(user: User, role: UserRole) -> None:
    """Make `user` hold this role and no other; whoever remembers them is not told."""
    user.assignments.all().delete()
    grants.give_first_role(user=user, role=role)
    user.__dict__.pop("rights", None)


def withdraw(permission: str) -> None:
    """Take a permission from every role; whoever remembers its holders is not told."""
    Role.objects.update(permissions=Func("permissions", Value(permission), function="array_remove"))


def make_actor(user: User) -> Actor:
    """The Actor of `user`."""
    return people.actor_of(user=user)


def make_token(user: User, *, now: datetime | None = None) -> str:
    """An access token of a new session."""
    issued = sessions.issue_tokens(user=user, actor=make_actor(user), now=now or clock.now())
    return issued.access
