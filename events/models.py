"""The outbox: what happened, in one order, until everybody was told."""

from django.db import models


class OutboxEvent(models.Model):
    """One event, written by the operation that caused it, in the same transaction.

    No TenantRow: a foreign key would lock the organization's row once per insert, and rows that
    live for a day need neither UUID nor `updated_at`. The primary key comes from the database,
    so that of two transactions the one that saw the other also has the higher key.
    """

    organization_id = models.UUIDField()
    # Set: only this user may read it.
    user_id = models.UUIDField(null=True, blank=True)
    type = models.CharField(max_length=64)
    data = models.JSONField(default=dict)
    occurred_at = models.DateTimeField()
    # Given by the relay to rows that it can see, that is after their commit; without holes.
    sequence = models.BigIntegerField(null=True, blank=True, unique=True)
    published_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            # The relay's two work lists, nearly empty, and the pruner's.
            models.Index(
                fields=["id"], condition=models.Q(sequence=None), name="outbox_unnumbered"
            ),
            models.Index(
                fields=["sequence"],
                condition=models.Q(sequence__isnull=False, published_at=None),
                name="outbox_unpublished",
            ),
            models.Index(
                fields=["published_at"],
                condition=models.Q(published_at__isnull=False),
                name="outbox_published",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sequence or 'new'}: {self.type}"


class OutboxHead(models.Model):
    """The one row that says which sequence was given last; it outlives the rows themselves."""

    ONLY = 1

    id = models.SmallIntegerField(primary_key=True, default=ONLY, editable=False)
    sequence = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="outbox_one_head")]

    def __str__(self) -> str:
        return str(self.sequence)
