"""Who somebody at a provider is here: found, linked or made; and the roles of their groups."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import transaction

from accounts.errors import AccountDisabled, AlreadyGranted, EmailTaken, LastHolder
from accounts.models import Role, RoleAssignment, User
from accounts.operations import grants, guards
from accounts.operations import people as accounts
from accounts.operations.login import Origin
from accounts.selectors import people as account_selectors
from audit import operations as audit
from kernel.actors import Actor
from kernel.errors import NotFound
from sso import selectors
from sso.clients.claims import Claims
from sso.errors import NotAdmitted
from sso.models import Identity
from sso.selectors import Registration

UNVERIFIED: Final = (
    "The identity provider does not say that your e-mail address was verified."
    " Ask an administrator."
)
UNKNOWN: Final = "There is no account for you here. Ask an administrator for one."
ELSEWHERE: Final = (
    "The account with your e-mail address cannot be used with this login. Ask an administrator."
)
DOMAIN: Final = "Addresses of your e-mail domain may not log in this way. Ask an administrator."
NO_ROLE: Final = "None of your groups gives you a role here. Ask an administrator."


@dataclass(frozen=True, slots=True)
class _Arrival:
    """Somebody for whom `issuer` vouches; `roles` are what their groups give, by id."""

    agreed: Registration
    issuer: str
    claims: Claims
    roles: dict[UUID, Role]
    actor: Actor
    now: datetime

    @property
    def organization_id(self) -> UUID:
        """Where they come to."""
        return self.agreed.organization_id

    def find_identity(self) -> Identity | None:
        """Who they are, if they came before."""
        return selectors.find_identity(
            organization_id=self.organization_id, issuer=self.issuer, subject=self.claims.subject
        )


def admit(
    *, agreed: Registration, issuer: str, claims: Claims, origin: Origin, now: datetime
) -> User:
    """The user for whom `issuer` vouches, with the roles that their groups give now.

    At first they are found by their verified e-mail in the organization, or made where it says so.
    Raises NotAdmitted and AccountDisabled.
    """
    actor = _hand(agreed, issuer, origin)
    arrival = _Arrival(agreed, issuer, claims, _mapped(agreed, claims), actor, now)
    identity = arrival.find_identity() or _link(arrival)
    user = identity.user
    _check_domain(agreed, user.email)
    if not user.is_active:
        raise AccountDisabled
    _give_and_take(identity.pk, arrival.roles, actor, now)
    if not RoleAssignment.objects.filter(user=user).exists():
        raise NotAdmitted(NO_ROLE, kind="no_role")
    return user


@transaction.atomic
def unlink(*, user: User, actor: Actor, now: datetime) -> int:
    """Let go of who somebody is at providers; the next login links them anew. How many there were.

    What their groups gave stays, as if given by hand.
    """
    count, _ = Identity.objects.filter(user=user).delete()
    audit.record(
        actor=actor,
        organization_id=user.organization_id,
        action="identity.unlink",
        resource_type="user",
        resource_id=user.pk,
        details={"count": count},
        now=now,
    )
    return count


def _link(arrival: _Arrival) -> Identity:
    """Who they are from now on. Raises NotAdmitted and AccountDisabled."""
    email = arrival.claims.email
    if not email:
        raise NotAdmitted(UNVERIFIED, kind="unverified_email")
    _check_domain(arrival.agreed, email)
    # Two first logins at once: the second one finds what the first one made.
    with guards.changing_rights(organization_id=arrival.organization_id):
        if (known := arrival.find_identity()) is not None:
            return known
        user = account_selectors.find_user_by_email(email=email)
        if user is None or user.organization_id != arrival.organization_id:
            user = _make(arrival)
        if not user.is_active:
            raise AccountDisabled
        if Identity.objects.filter(user=user, issuer=arrival.issuer).exists():
            # Their address is somebody else's by now, at the provider or here.
            raise NotAdmitted(ELSEWHERE, kind="linked_otherwise")
        identity = Identity.objects.create(
            organization_id=arrival.organization_id,
            user=user,
            issuer=arrival.issuer,
            subject=arrival.claims.subject,
            created_at=arrival.now,
        )
        audit.record(
            actor=arrival.actor,
            organization_id=arrival.organization_id,
            action="identity.link",
            resource_type="user",
            resource_id=user.pk,
            details={
                "issuer": arrival.issuer,
                "subject": arrival.claims.subject,
                "email": user.email,
            },
            now=arrival.now,
        )
    return identity


def _make(arrival: _Arrival) -> User:
    if not arrival.agreed.creates_users:
        raise NotAdmitted(UNKNOWN, kind="user_not_found")
    if not arrival.roles:
        raise NotAdmitted(NO_ROLE, kind="no_role")
    try:
        return accounts.create_vouched_user(
            organization_id=arrival.organization_id,
            email=arrival.claims.email,
            full_name=arrival.claims.full_name,
            actor=arrival.actor,
            now=arrival.now,
        )
    except EmailTaken:  # in another organization
        raise NotAdmitted(ELSEWHERE, kind="email_taken") from None


def _check_domain(agreed: Registration, email: str) -> None:
    domain = email.rpartition("@")[2].lower()
    if agreed.allowed_domains and domain not in agreed.allowed_domains:
        raise NotAdmitted(DOMAIN, kind="domain_refused")


def _mapped(agreed: Registration, claims: Claims) -> dict[UUID, Role]:
    """The roles that the person's groups give, else the default one; names of none give none."""
    names = {role.lower() for group, role in agreed.group_roles if group in claims.groups}
    if not names:
        names = {agreed.default_role.lower()}
    every = Role.objects.filter(organization_id=agreed.organization_id)
    return {role.pk: role for role in every if role.name.lower() in names}


@transaction.atomic
def _give_and_take(identity_id: UUID, roles: dict[UUID, Role], actor: Actor, now: datetime) -> None:
    """Make what the groups gave be `roles`; what was given by hand is not looked at."""
    identity = Identity.objects.select_for_update(of=("self",)).get(pk=identity_id)
    held = RoleAssignment.objects.filter(user_id=identity.user_id, scope={})
    by_role = {assignment.role_id: assignment for assignment in held}
    given = {a.pk: a for a in by_role.values() if a.pk in identity.given}
    for role_id in roles.keys() - by_role.keys():
        if (added := _give(identity, role_id, actor, now)) is not None:
            given[added.pk] = added
    for assignment in list(given.values()):
        if assignment.role_id not in roles and _take(assignment, actor, now):
            del given[assignment.pk]
    if set(identity.given) != set(given):
        Identity.objects.filter(pk=identity.pk).update(given=sorted(given))


def _give(identity: Identity, role_id: UUID, actor: Actor, now: datetime) -> RoleAssignment | None:
    try:
        return grants.grant_role(
            organization_id=identity.organization_id,
            user_id=identity.user_id,
            role_id=role_id,
            scope={},
            giver=None,  # the organization's own settings say so
            actor=actor,
            now=now,
        )
    except AlreadyGranted:  # by hand, at the same time
        return None


def _take(assignment: RoleAssignment, actor: Actor, now: datetime) -> bool:
    """Whether it is gone; the last one who may give roles keeps theirs."""
    try:
        with transaction.atomic():
            grants.withdraw_role(
                organization_id=assignment.organization_id,
                assignment_id=assignment.pk,
                giver=None,
                actor=actor,
                now=now,
            )
    except NotFound:
        return True
    except LastHolder:
        details = {"role_id": str(assignment.role_id), "reason": "last_holder"}
        audit.record(
            actor=actor,
            organization_id=assignment.organization_id,
            action="identity.role_kept",
            resource_type="user",
            resource_id=assignment.user_id,
            details=details,
            now=now,
        )
        return False
    return True


def _hand(agreed: Registration, issuer: str, origin: Origin) -> Actor:
    """Who links, makes and gives: not the person, who may not, but the hub by its settings."""
    return Actor(
        type="system",
        id="oidc",
        label=issuer,
        organization_id=agreed.organization_id,
        ip_address=origin.ip_address,
        request_id=origin.request_id,
    )
