"""The audit chain: events, and the head of each organization's chain."""

from django.db import models

from kernel import clock, ids


class AuditEvent(models.Model):
    """One operation as it happened. Never changes, except that the sealer fills the last columns.

    Actor and subject are plain columns: the record outlives both. `position`, `previous_hash` and
    `hash` are set together, once, by the sealer; a database trigger refuses everything else.
    """

    id = models.UUIDField(primary_key=True, default=ids.new, editable=False)
    # The nil UUID stands for the platform itself (events before or outside of an organization).
    organization_id = models.UUIDField()
    occurred_at = models.DateTimeField(default=clock.now)
    actor_type = models.CharField(max_length=16)
    actor_id = models.CharField(max_length=64, blank=True)
    actor_label = models.CharField(max_length=255, blank=True)
    action = models.CharField(max_length=64)
    resource_type = models.CharField(max_length=64)
    resource_id = models.CharField(max_length=64, blank=True)
    details = models.JSONField(default=dict)
    ip_address = models.GenericIPAddressField(null=True, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    position = models.BigIntegerField(null=True, blank=True)
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization_id", "position"], name="audit_event_position"
            )
        ]
        indexes = [
            # The sealer's whole work list: empty a second after things calm down.
            models.Index(
                fields=["organization_id", "id"],
                condition=models.Q(position=None),
                name="audit_event_unsealed",
            ),
            models.Index(fields=["organization_id", "-id"], name="audit_event_newest"),
            models.Index(
                fields=["organization_id", "resource_type", "resource_id"],
                name="audit_event_resource",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.resource_type}:{self.resource_id}"


class AuditChain(models.Model):
    """Where an organization's chain ends; a removed tail no longer matches it."""

    organization_id = models.UUIDField(primary_key=True)
    position = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True)
    sealed_at = models.DateTimeField(default=clock.now)

    def __str__(self) -> str:
        return f"{self.organization_id} @ {self.position}"
