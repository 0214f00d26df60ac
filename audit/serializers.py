"""Wire shapes of audit (contract 002 A14, 003 B8)."""

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from audit.choices import FAULTS
from audit.models import AuditCheckpoint, AuditEvent
from kernel.http.shapes import RowOutput


class EventOutput(RowOutput[AuditEvent]):
    """An event as seed 002 has it, and its place in the chain."""

    actor = serializers.CharField(help_text="`user:<id>`, `system:worker`, …")
    resource = serializers.CharField(help_text="`<type>:<id>`")
    correlation_id = serializers.CharField(source="request_id")
    metadata = serializers.JSONField(source="details")

    class Meta:
        model = AuditEvent
        fields = [
            "id",
            "actor",
            "actor_label",
            "action",
            "resource",
            "status",
            "correlation_id",
            "metadata",
            "ip_address",
            "occurred_at",
            "position",
            "previous_hash",
            "hash",
        ]
        read_only_fields = fields


class AdminEventOutput(RowOutput[AuditEvent]):
    """The same event as seed 003 has it."""

    created_at = serializers.DateTimeField(source="occurred_at")
    changes = serializers.SerializerMethodField(help_text="What changed, where it is recorded.")
    method_columns: ClassVar = ("details",)

    class Meta:
        model = AuditEvent
        fields = [
            "id",
            "action",
            "resource_type",
            "resource_id",
            "actor_type",
            "actor_id",
            "status",
            "details",
            "changes",
            "ip_address",
            "created_at",
        ]
        read_only_fields = fields

    @extend_schema_field({"type": "object", "additionalProperties": True})
    def get_changes(self, event: Any) -> dict[str, Any]:
        """From the details."""
        found = event.details.get("changes") if isinstance(event.details, dict) else None
        return found if isinstance(found, dict) else {}


class CheckpointOutput(RowOutput[AuditCheckpoint]):
    """A signature over the chain up to a position."""

    class Meta:
        model = AuditCheckpoint
        fields = ["id", "position", "hash", "signed_at", "key_id", "signature"]
        read_only_fields = fields


class KeyOutput(serializers.Serializer[Any]):
    """One public key."""

    key_id = serializers.CharField()
    algorithm = serializers.CharField()
    public_key = serializers.CharField(source="text", help_text="32 bytes in base64.")
    public_key_pem = serializers.CharField(source="pem")
    is_current = serializers.BooleanField()


class KeysOutput(KeyOutput):
    """The key that signs now, and all that ever did."""

    keys = KeyOutput(many=True)


class VerifyInput(serializers.Serializer[Any]):
    """`POST /audit-events/verify`."""

    from_position = serializers.IntegerField(
        min_value=1,
        max_value=2**62,
        required=False,
        help_text="Where to begin. Without it: the newest rows, all of a short chain.",
    )


class FaultOutput(serializers.Serializer[Any]):
    """The first thing that is wrong."""

    kind = serializers.ChoiceField(FAULTS)
    position = serializers.IntegerField(allow_null=True)
    event_id = serializers.UUIDField(allow_null=True)
    detail = serializers.CharField(source="sentence")


class VerdictOutput(serializers.Serializer[Any]):
    """What a walk along the chain found."""

    is_whole = serializers.BooleanField(help_text="No fault in the rows that were checked.")
    from_position = serializers.IntegerField(source="first")
    checked = serializers.IntegerField(help_text="Rows in order and unaltered.")
    checkpoints = serializers.IntegerField(help_text="Those of them with a good signature.")
    head_position = serializers.IntegerField(source="head", help_text="The last sealed row.")
    next_position = serializers.IntegerField(
        source="next", allow_null=True, help_text="Where to go on; null at the end of the chain."
    )
    fault = FaultOutput(allow_null=True)
