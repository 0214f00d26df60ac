"""Identity and time for every row, and the answers that a repeated POST gets again."""

from typing import Any, Self, TypeVar

from django.db import models

from kernel import clock, ids

M_co = TypeVar("M_co", bound=models.Model, covariant=True)


class RowQuerySet(models.QuerySet[M_co]):
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


class StoredAnswer(models.Model):
    """What a POST with an `Idempotency-Key` was answered, for `kernel.http.idempotency` to repeat.

    Digests are keyed with the hub's secret: a body may hold a password, a key anything.
    """

    # Of organization, actor and key.
    id = models.CharField(primary_key=True, max_length=64)
    # No foreign key: the kernel knows no organizations. Null: a caller without a token.
    organization_id = models.UUIDField(null=True, blank=True)
    # Of method, path and body.
    request_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    headers = models.JSONField(default=dict)
    # Null: the answer held a one-time secret, or was no single document.
    body = models.BinaryField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="stored_answer_age")]

    def __str__(self) -> str:
        return f"{self.status} at {self.created_at:%Y-%m-%d %H:%M:%S}"
