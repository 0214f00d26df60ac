"""Who holds which role."""

from django.db import transaction

from accounts.models import Role, RoleAssignment, User
from accounts.operations import callers


@transaction.atomic
def give_first_role(*, user: User, role: str) -> None:
    """What a new user begins with: the organization's system role of that name, everywhere."""
    held = Role.objects.get(organization_id=user.organization_id, name=role, is_system=True)
    RoleAssignment.objects.create(organization_id=user.organization_id, user=user, role=held)
    callers.forget(organization_id=user.organization_id)
