"""Organizations, and the base of every tenant-owned row."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from kernel.models import Row


class Organization(Row):
    """A tenant: the owner of every other row."""

    name = models.CharField(max_length=255)
    slug = models.SlugField(max_length=64, unique=True)
    is_active = models.BooleanField(default=True)
    # Permissions that the built-in roles were offered: a key that is new is added to them once, and
    # one that somebody took away does not come back.
    offered_permissions = ArrayField(models.CharField(max_length=64), default=list, blank=True)

    def __str__(self) -> str:
        return self.name


class TenantRow(Row):
    """The base of tenant-owned rows: selectors take the organization, always."""

    organization = models.ForeignKey(Organization, models.PROTECT, related_name="+")

    class Meta:
        abstract = True
