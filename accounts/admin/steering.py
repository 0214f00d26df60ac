"""What pages do that change rights: with a fresh second factor, where the organization asks."""

from collections.abc import Callable
from typing import Any, cast

from django.http import HttpRequest

from accounts.models import Session, User
from accounts.operations import stepup
from kernel import clock
from kernel.admin import ConsoleAdmin


def steer(
    page: ConsoleAdmin, request: HttpRequest, operation: Callable[..., Any], /, **arguments: Any
) -> None:
    """Run one operation on the organization's rights for the person at the console.

    Raises what it and `stepup.require` raise.
    """
    user: Any = request.user
    session: Session = request.console_session  # type: ignore[attr-defined]  # by `Browsers`
    now = clock.now()
    stepup.require(user=user, mfa_at=session.mfa_at, now=now)
    operation(organization_id=user.organization_id, actor=page.actor(request), now=now, **arguments)


def giver(request: HttpRequest) -> User:
    """Who gives: the page's permission let nobody else in."""
    return cast("User", request.user)
