"""Organizations and people for tests."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

import pyotp
from django.contrib.auth.hashers import make_password
from django.db.models import Func, Value
from django.test import Client

from accounts.choices import SessionKind, UserRole
from accounts.models import ApiKey, Organization, Role, Session, User
from accounts.operations import grants, login, mfa, roles, sessions
from accounts.selectors import keys, people
from hub.console import browsers
from kernel import clock
from kernel.actors import SYSTEM, Actor
from preferences import operations as preferences

PASSWORD: Final = "Correct horse, battery 9 staple"
# Hashing is slow on purpose; one hash serves all.
_HASH: Final = make_password(PASSWORD)
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What somebody with a second factor has."""

    secret: str
    backup_codes: list[str]


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


def log_in(user: User) -> sessions.Tokens:
    """The pair of a login with PASSWORD."""
    found = login.log_in(email=user.email, password=PASSWORD, now=clock.now())
    assert isinstance(found, sessions.Tokens)
    return found


def make_token(user: User, *, now: datetime | None = None) -> str:
    """An access token of a new session."""
    issued = sessions.issue_tokens(user=user, actor=make_actor(user), now=now or clock.now())
    return issued.access


def make_key(user: User, *scopes: str, **values: object) -> str:
    """A live API key of `user`."""
    key = f"{keys.PREFIX}{secrets.token_urlsafe(32)}"
    made: dict[str, object] = {
        "name": "robot",
        "prefix": key[:12],
        "key_hash": keys.hash_key(key),
        "scopes": list(scopes),
    }
    ApiKey.objects.create(organization_id=user.organization_id, user=user, **{**made, **values})
    return key


def enter_console(client: Client, user: User, backend: str | None = None) -> Session:
    """Log a browser in as `user`, whatever their factors: stands in for `Client.force_login`."""
    now = clock.now()
    session = Session.objects.create(
        organization_id=user.organization_id,
        user=user,
        kind=SessionKind.CONSOLE,
        created_at=now,
        expires_at=now + timedelta(hours=1),
    )
    store = client.session
    store[browsers.SESSION] = str(session.pk)
    store.save()
    return session


def enrol(user: User, *, now: datetime | None = None) -> Enrolled:
    """Give `user` a second factor; its first code was the one of `now`."""
    now, actor = now or clock.now(), make_actor(user)
    begun = mfa.begin(user=user, actor=actor, now=now)
    codes = mfa.confirm(
        user=user, session_id=None, code=totp(begun.secret, now=now), actor=actor, now=now
    )
    user.refresh_from_db()
    return Enrolled(begun.secret, codes)


def totp(secret: str, *, now: datetime | None = None, ahead: int = 0) -> str:
    """What the authenticator shows `ahead` steps after `now`."""
    return pyotp.TOTP(secret).at(now or clock.now(), counter_offset=ahead)


def set_policy(organization: Organization, *, now: datetime | None = None, **values: Any) -> None:
    """Change settings `security.<name>` of an organization."""
    preferences.change(
        organization_id=organization.pk,
        values={f"security.{name}": value for name, value in values.items()},
        actor=SYSTEM,
        now=now or clock.now(),
    )
