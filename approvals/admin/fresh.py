"""What is asked for a fresh second factor, where the organization asks for one."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest

from accounts.models import Session
from accounts.operations import stepup
from kernel import clock
from kernel.actors import Actor
from kernel.admin_forms import CODE, DialogForm
from kernel.errors import DomainError


class FreshForm(DialogForm):
    """A dialog that asks for a code with the rest, if one will be needed."""

    def find_obstacle(self) -> DomainError | None:
        """As the organization's policy has it."""
        return stepup.find_obstacle(session=_session(self.request), now=clock.now())


def show_factor(request: HttpRequest, *, actor: Actor, now: datetime) -> None:
    """Let the person at the console go on. Raises what `stepup.require_with` raises."""
    code = request.POST.get(CODE, "")
    stepup.require_with(session=_session(request), code=code, actor=actor, now=now)


def organization_of(request: Any) -> Any:
    """The organization of the person at the console."""
    return request.user.organization_id


def _session(request: HttpRequest) -> Session:
    session: Session = request.console_session  # type: ignore[attr-defined]  # by `Browsers`
    return session
