"""Questions about identity providers: whose, and what was agreed with it."""

from dataclasses import dataclass, field
from uuid import UUID

from accounts.selectors import people
from kernel import tenancy
from preferences.selectors import values
from sso.choices import split_role
from sso.errors import NotConfigured
from sso.models import Identity


@dataclass(frozen=True, slots=True)
class Registration:
    """What an organization agreed with its provider; `sso.choices.SETTINGS` says what it means."""

    organization_id: UUID
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: str
    groups_claim: str
    group_roles: tuple[tuple[str, str], ...]
    default_role: str
    allowed_domains: frozenset[str]
    creates_users: bool


@dataclass(frozen=True, slots=True)
class Button:
    """The way from the login page to a provider."""

    slug: str
    label: str


def is_role_named(organization_id: UUID, name: str) -> bool:
    """Whether groups or the default give the role of this name, set up or not."""
    found = values.read(organization_id=organization_id)
    named = {split_role(entry)[1].lower() for entry in found["security.oidc_group_roles"]}
    return name.lower() in {*named, found["security.oidc_default_role"].lower()}


def get_registration(*, organization_id: UUID) -> Registration:
    """One query. Raises NotConfigured, and SecretUnreadable for a secret of another hub key."""
    found = values.read(organization_id=organization_id)
    issuer, client_id = found["security.oidc_issuer"], found["security.oidc_client_id"]
    if not (issuer and client_id):
        raise NotConfigured
    domains = frozenset(name.lower() for name in found["security.oidc_allowed_domains"])
    return Registration(
        organization_id=organization_id,
        issuer=issuer,
        client_id=client_id,
        client_secret=found["security.oidc_client_secret"],
        scopes=found["security.oidc_scopes"],
        groups_claim=found["security.oidc_groups_claim"],
        group_roles=tuple(split_role(entry) for entry in found["security.oidc_group_roles"]),
        default_role=found["security.oidc_default_role"],
        allowed_domains=domains,
        creates_users=found["security.oidc_create_users"],
    )


def get_organization(*, slug: str) -> UUID:
    """The active organization with this slug; without one, the only organization.

    Raises NotConfigured: whether one exists is not for strangers.
    """
    with tenancy.platform():  # nobody has said yet who they are
        found = people.list_organizations().filter(is_active=True)
        if slug:
            found = found.filter(slug=slug)
        candidates = list(found.values_list("pk", flat=True)[:2])
    if len(candidates) != 1:
        raise NotConfigured
    return candidates[0]


def find_button() -> Button | None:
    """For a login page that does not know whose it is: only where there is one organization.

    Elsewhere a list would tell strangers who is served here.
    """
    with tenancy.platform():
        candidates = list(people.list_organizations().filter(is_active=True)[:2])
    if len(candidates) != 1:
        return None
    organization_id = candidates[0].pk
    with tenancy.organization(organization_id):
        found = values.read(organization_id=organization_id)
    if not (found["security.oidc_issuer"] and found["security.oidc_client_id"]):
        return None
    return Button(slug=candidates[0].slug, label=found["security.oidc_button_label"])


def find_identity(*, organization_id: UUID, issuer: str, subject: str) -> Identity | None:
    """Who a subject of an issuer is here."""
    return (
        Identity.objects.select_related("user")
        .filter(organization_id=organization_id, issuer=issuer, subject=subject)
        .first()
    )
