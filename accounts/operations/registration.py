"""Strangers who make an account for themselves, where an organization lets them."""

from datetime import datetime

from accounts.choices import UserRole
from accounts.errors import RegistrationClosed
from accounts.models import User
from accounts.operations import people
from accounts.selectors import people as selectors
from accounts.selectors.policy import get_policy
from kernel import tenancy
from kernel.actors import Actor


def register(
    *, email: str, password: str, full_name: str, organization: str, actor: Actor, now: datetime
) -> User:
    """A new viewer of the organization with that slug; without one, of the only organization.

    Raises RegistrationClosed, for an unknown organization too, EmailTaken and Invalid.
    """
    with tenancy.platform():  # a stranger is in no organization yet
        found = selectors.list_organizations().filter(is_active=True)
        if organization:
            found = found.filter(slug=organization)
        candidates = list(found[:2])
    if len(candidates) != 1:
        raise RegistrationClosed
    organization_id = candidates[0].pk
    with tenancy.organization(organization_id):
        if not get_policy(organization_id=organization_id).registration_enabled:
            raise RegistrationClosed
        return people.create_user(
            organization_id=organization_id,
            email=email,
            full_name=full_name,
            role=UserRole.VIEWER,
            password=password,
            actor=actor,
            now=now,
        )
