"""Query parameters of audit."""

from datetime import datetime
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from audit.choices import AuditStatus
from audit.selectors.events import Wanted


class Instant(serializers.DateTimeField):
    """RFC 3339, with its offset: an instant without one is a guess."""

    default_error_messages = {"naive": "Name the offset: 2026-01-31T12:00:00Z."}

    def enforce_timezone(self, value: datetime) -> datetime:
        """Refuses what has none."""
        if value.utcoffset() is None:
            self.fail("naive")
        return value


class SpanQuery(serializers.Serializer[Any]):
    """`since` (included) and `until` (not)."""

    since = Instant(required=False, help_text="RFC 3339; not before it.")
    until = Instant(required=False, help_text="RFC 3339; before it.")


class EventQuery(SpanQuery):
    """Exact values, by which there is an index each."""

    actor = serializers.CharField(
        max_length=81, required=False, help_text="`user:<id>`, `agent:<id>`, `key:<id>`, `system`."
    )
    action = serializers.CharField(
        max_length=64, required=False, help_text="`<noun>.<verb>`, e.g. `task.create`."
    )
    resource = serializers.CharField(
        max_length=129, required=False, help_text="`<type>:<id>`, e.g. `task:<id>`."
    )
    correlation_id = serializers.CharField(max_length=64, required=False)
    status = serializers.ChoiceField(AuditStatus.choices, required=False)


def wanted(request: Request) -> Wanted:
    """The events asked for; raises DRF's ValidationError (422)."""
    query = EventQuery(data=request.query_params)
    query.is_valid(raise_exception=True)
    return Wanted(**query.validated_data)
