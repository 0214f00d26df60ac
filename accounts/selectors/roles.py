"""Questions about roles and who holds them."""

from uuid import UUID

from django.db.models import QuerySet

from accounts.models import Role, RoleAssignment
from kernel.errors import NotFound


def list_roles(*, organization_id: UUID) -> QuerySet[Role]:
    """The organization's roles by name, the built-in ones first."""
    rows = Role.objects.filter(organization_id=organization_id)
    return rows.order_by("-is_system", "name", "pk")


def get_role(*, organization_id: UUID, role_id: UUID) -> Role:
    """One role; raises NotFound."""
    role = Role.objects.filter(organization_id=organization_id, pk=role_id).first()
    if role is None:
        raise NotFound
    return role


def list_assignments(*, organization_id: UUID) -> QuerySet[RoleAssignment]:
    """Who holds what, newest first, with the role."""
    return (
        RoleAssignment.objects.filter(organization_id=organization_id)
        .select_related("role")
        .order_by("-created_at", "-pk")
    )


def get_assignment(*, organization_id: UUID, assignment_id: UUID) -> RoleAssignment:
    """One assignment with its role; raises NotFound."""
    rows = list_assignments(organization_id=organization_id)
    assignment = rows.filter(pk=assignment_id).first()
    if assignment is None:
        raise NotFound
    return assignment
