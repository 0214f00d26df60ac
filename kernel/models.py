"""Abstract models: identity and time for every row."""

from typing import Any, Self, TypeVar

from django.db import models

from kernel import clock, ids

M = TypeVar("M", bound=models.Model, covariant=True)


class RowQuerySet(models.QuerySet[M]):
    """A queryset whose `update` moves `updated_at` along.

    Conditional updates are how operations change state; without this each would have to
    remember the column.
    """

    def update(self, **changes: Any) -> int:
        """Like Django's `update`; returns the number of rows that matched."""
        if "updated_at" not in changes:
            changes["updated_at"] = clock.now()
        return super().update(**changes)

    def alive(self) -> Self:
        """Rows that are not soft-deleted."""
        return self.filter(deleted_at=None)


class Row(models.Model):
    """Identity and timestamps of every row (contract 003 B0)."""

    id = models.UUIDField(primary_key=True, default=ids.new, editable=False)
    created_at = models.DateTimeField(default=clock.now, editable=False)
    updated_at = models.DateTimeField(default=clock.now, editable=False)

    objects = RowQuerySet.as_manager()

    class Meta:
        abstract = True


class SoftDeleted(models.Model):
    """Rows that leave the lists but stay for history; `deleted_at` says since when."""

    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        abstract = True

    @property
    def is_deleted(self) -> bool:
        """Whether the row was soft-deleted."""
        return self.deleted_at is not None
