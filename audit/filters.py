"""Query parameters of audit."""

import re
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from rest_framework import serializers
from rest_framework.request import Request

from audit.choices import AuditStatus
from audit.selectors.events import Wanted

PEOPLE: Final = frozenset({"user", "agent", "key"})
BARE: Final = frozenset({"system", "anonymous"})
ACTION: Final = re.compile(r"[a-z_]+\.[a-z_]+")
RESOURCE: Final = re.compile(r"[a-z_]+(:.+)?")


class Instant(serializers.DateTimeField):
    """RFC 3339, with its offset: an instant without one is a guess."""

    default_error_messages = {"naive": "Send date, time and offset, e.g. 2026-11-22T00:00:00Z."}

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
        max_length=81,
        required=False,
        help_text="`user:<id>`, `agent:<id>`, `key:<id>`, `system`, `system:<part>`, `anonymous`.",
    )
    action = serializers.CharField(
        max_length=64,
        required=False,
        help_text="`<noun>.<verb>`, e.g. `task.create`; docs/audit.md lists them.",
    )
    resource = serializers.CharField(
        max_length=129,
        required=False,
        help_text="`<type>:<id>`, e.g. `task:<id>`; the bare type of what has no id.",
    )
    correlation_id = serializers.CharField(max_length=64, required=False)
    status = serializers.ChoiceField(AuditStatus.choices, required=False)

    def validate_actor(self, value: str) -> str:
        """Refuses what no actor can be."""
        kind, colon, identifier = value.partition(":")
        if kind in PEOPLE:
            if not _is_uuid(identifier):
                raise serializers.ValidationError(f"Send `{kind}:<id>` with a UUID.", code="uuid")
        elif kind not in BARE or (colon and not identifier):
            raise serializers.ValidationError(
                "Send `user:<id>`, `agent:<id>`, `key:<id>`, `system`, `system:<part>` or"
                " `anonymous`."
            )
        return value

    def validate_action(self, value: str) -> str:
        """Refuses what no action can be."""
        if not ACTION.fullmatch(value):
            raise serializers.ValidationError("Send `<noun>.<verb>`, such as `task.create`.")
        return value

    def validate_resource(self, value: str) -> str:
        """Refuses what no resource can be."""
        if not RESOURCE.fullmatch(value):
            raise serializers.ValidationError("Send `<type>:<id>`, such as `task:<id>`.")
        return value


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def wanted(request: Request) -> Wanted:
    """The events asked for; raises DRF's ValidationError (422)."""
    query = EventQuery(data=request.query_params)
    query.is_valid(raise_exception=True)
    return Wanted(**query.validated_data)
