"""What pages do that change rights: with a fresh second factor, where the organization asks."""

from collections.abc import Callable
from typing import Any, cast

from django.http import HttpRequest

from accounts.models import Session, User
from accounts.operations import stepup
from kernel import clock
from kernel.admin import ConsoleAdmin
from kernel.admin_forms import CODE, DialogForm
from kernel.errors import DomainError


class SteeringForm(DialogForm):
    """A dialog for what `steer` runs: it asks for the code with the rest, if one will be needed."""

    def find_obstacle(self) -> DomainError | None:
        """As the organization's policy has it."""
        return stepup.find_obstacle(session=_session(self.request), now=clock.now())


def steer(
    page: ConsoleAdmin, request: HttpRequest, operation: Callable[..., Any], /, **arguments: Any
) -> Any:
    """Run one operation on the organization's rights for the person at the console.

    Raises what it and `stepup.require_with` raise; a code is in the dialog's form.
    """
    user: Any = request.user
    actor, now = page.actor(request), clock.now()
    code = request.POST.get(CODE, "")
    stepup.require_with(session=_session(request), code=code, actor=actor, now=now)
    return operation(organization_id=user.organization_id, actor=actor, now=now, **arguments)


def giver(request: HttpRequest) -> User:
    """Who gives: the page's permission let nobody else in."""
    return cast("User", request.user)


def _session(request: HttpRequest) -> Session:
    session: Session = request.console_session  # type: ignore[attr-defined]  # by `Browsers`
    return session
