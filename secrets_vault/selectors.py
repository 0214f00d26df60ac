"""Questions about secrets; none of them answers with a value."""

from collections.abc import Collection, Iterator
from uuid import UUID

from django.db.models import QuerySet

from kernel.fingerprints import Hasher, Mark
from secrets_vault.errors import SecretNotFound
from secrets_vault.models import Secret, SecretVersion


def list_secrets(*, organization_id: UUID) -> QuerySet[Secret]:
    """The organization's secrets by name."""
    return Secret.objects.filter(organization_id=organization_id).order_by("name", "pk")


def get_secret(*, organization_id: UUID, secret_id: UUID) -> Secret:
    """One secret; raises SecretNotFound."""
    secret = list_secrets(organization_id=organization_id).filter(pk=secret_id).first()
    if secret is None:
        raise SecretNotFound
    return secret


def find_missing(*, organization_id: UUID, names: Collection[str]) -> list[str]:
    """Those of `names` that no secret of the organization has, sorted."""
    rows = Secret.objects.filter(organization_id=organization_id, name__in=names)
    return sorted(set(names) - set(rows.values_list("name", flat=True)))


def list_marks(organization_id: UUID, _hasher: Hasher) -> Iterator[Mark]:
    """By which the values of all versions are recognised: what was rotated may still be in use."""
    rows = SecretVersion.objects.filter(organization_id=organization_id)
    for dumped in rows.values_list("marks", flat=True):
        yield from map(Mark.load, dumped)
