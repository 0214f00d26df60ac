"""Sessions of browsers: seen with each request, ended when nobody came for too long."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction

from accounts.models import Session
from accounts.operations import callers, tightening
from accounts.selectors import network, sessions
from accounts.selectors.policy import get_policy
from audit import operations as audit
from kernel import tenancy
from kernel.actors import SYSTEM

# How exactly a session knows when it was last seen; no idle timeout is shorter.
NOTED: Final = timedelta(minutes=1)


def see(*, session_id: UUID, ip_address: str | None, now: datetime) -> Session | None:
    """The live session with its user, for one request; None if it has ended or was idle too long.

    One query, and once a minute two more. Raises AddressRefused where the organization's rules
    refuse the address.
    """
    with tenancy.platform():  # the cookie does not say whose it is
        session = sessions.find_console_session(session_id=session_id, now=now)
    if session is None:
        return None
    rules: Any = session.rules  # type: ignore[attr-defined]  # read along
    with tenancy.organization(session.organization_id):
        network.check(rules=network.prepare(rules), address=ip_address)
        if now - session.last_seen_at < NOTED:
            return session
        return session if _note(session, now) else None


def _note(session: Session, now: datetime) -> bool:
    """Whether it was not idle too long; then it was seen now, else it ends."""
    policy = get_policy(organization_id=session.organization_id)
    alive = Session.objects.filter(pk=session.pk, revoked_at=None)
    if now - session.last_seen_at < policy.idle_timeout:
        restriction = tightening.restriction_now(session=session, policy=policy, now=now)
        if restriction != session.restriction:
            session.user.rights = session.user.rights.until(restriction)
            callers.forget(organization_id=session.organization_id)
        return alive.update(last_seen_at=now, restriction=restriction) == 1
    _end(session, now)
    return False


@transaction.atomic
def _end(session: Session, now: datetime) -> None:
    """Of two requests at once one ends it, and one row says so."""
    if not Session.objects.filter(pk=session.pk, revoked_at=None).update(revoked_at=now):
        return
    callers.forget(organization_id=session.organization_id)
    audit.record(
        actor=SYSTEM,
        organization_id=session.organization_id,
        action="session.idle_end",
        resource_type="session",
        resource_id=session.pk,
        details={"user_id": str(session.user_id), "last_seen_at": session.last_seen_at.isoformat()},
        now=now,
    )
