"""What people change about themselves."""

from datetime import datetime

from django.db import transaction

from accounts.models import User
from accounts.operations import callers
from audit import operations as audit
from kernel.actors import Actor


@transaction.atomic
def rename_user(*, user: User, full_name: str, actor: Actor, now: datetime) -> User:
    """Set the user's displayed name; the one they have leaves no trace."""
    if user.full_name == full_name:
        return user
    User.objects.filter(pk=user.pk).update(full_name=full_name, updated_at=now)
    user.full_name = full_name
    callers.forget(organization_id=user.organization_id)
    audit.record(
        actor=actor,
        organization_id=user.organization_id,
        action="user.update",
        resource_type="user",
        resource_id=user.pk,
        details={"full_name": full_name},
        now=now,
    )
    return user
