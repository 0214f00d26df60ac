"""The audit chain: events, the head of each organization's chain, signed checkpoints."""

from django.db import models

from audit.choices import AuditStatus
from kernel import clock, ids


class AuditEvent(models.Model):
    """One operation as it happened. Never changes, except that the sealer fills the last columns.

    Actor and subject are plain columns: the record outlives both. `position`, `previous_hash`,
    `hash` and `hash_version` are set together, once, by the sealer; a database trigger refuses
    everything else.
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
    status = models.CharField(
        max_length=16, choices=AuditStatus.choices, db_default=AuditStatus.SUCCESS
    )
    details = models.JSONField(default=dict)
    ip_address = models.GenericIPAddressField(null=True, blank=True)
    # What belongs together: the HTTP request, or the access request whose life this is part of.
    request_id = models.CharField(max_length=64, blank=True)
    position = models.BigIntegerField(null=True, blank=True)
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64, blank=True)
    # How the row was hashed (`selectors.chain`); the sealer seals in the newest way.
    hash_version = models.PositiveSmallIntegerField(db_default=1, editable=False)

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
            # The lists: one an exact filter, each in the lists' order.
            models.Index(fields=["organization_id", "occurred_at", "id"], name="audit_event_time"),
            models.Index(
                fields=["organization_id", "actor_type", "actor_id", "occurred_at", "id"],
                name="audit_event_by_actor",
            ),
            models.Index(
                fields=["organization_id", "action", "occurred_at", "id"],
                name="audit_event_by_action",
            ),
            models.Index(
                fields=["organization_id", "resource_type", "resource_id", "occurred_at", "id"],
                name="audit_event_by_resource",
            ),
            models.Index(
                fields=["organization_id", "request_id", "occurred_at", "id"],
                condition=~models.Q(request_id=""),
                name="audit_event_by_request",
            ),
            models.Index(
                fields=["organization_id", "status", "occurred_at", "id"],
                condition=~models.Q(status=AuditStatus.SUCCESS),
                name="audit_event_by_status",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor_label or self.actor_type}"

    @property
    def actor(self) -> str:
        """`user:<id>`, or the bare type of an actor without an id (`system`)."""
        return joined(self.actor_type, self.actor_id)

    @property
    def resource(self) -> str:
        """`task:<id>`, or the bare type of what has no id."""
        return joined(self.resource_type, self.resource_id)


class AuditChain(models.Model):
    """Where an organization's chain ends; a removed tail no longer matches it."""

    organization_id = models.UUIDField(primary_key=True)
    position = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, blank=True)
    sealed_at = models.DateTimeField(default=clock.now)
    # The newest checkpoint, so that the sealer need not look for it.
    checkpointed_position = models.BigIntegerField(db_default=0)
    checkpointed_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.organization_id} @ {self.position}"


class AuditCheckpoint(models.Model):
    """A signature over a row's hash, and through it over all rows before. Never changes.

    Whoever owns the database could hash a whole chain anew; without the hub's key they cannot sign
    it.
    """

    id = models.UUIDField(primary_key=True, default=ids.new, editable=False)
    organization_id = models.UUIDField()
    position = models.BigIntegerField()
    hash = models.CharField(max_length=64)
    signed_at = models.DateTimeField()
    key_id = models.CharField(max_length=16)
    # Ed25519, base64, over the canonical JSON of `selectors.checkpoints.content_of`.
    signature = models.CharField(max_length=88)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization_id", "position"], name="audit_checkpoint_position"
            )
        ]

    def __str__(self) -> str:
        return f"checkpoint at {self.position}"


class AuditKey(models.Model):
    """A public key that has signed checkpoints; the private one follows from the hub's secret.

    Keys of earlier secrets stay, so that what they signed can still be checked.
    """

    key_id = models.CharField(primary_key=True, max_length=16)
    public_key = models.BinaryField(max_length=32)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.key_id


def joined(kind: str, identifier: str) -> str:
    """How the wire names an actor or a resource."""
    return f"{kind}:{identifier}" if identifier else kind
