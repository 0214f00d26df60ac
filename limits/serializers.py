"""Wire shapes of limits."""

from typing import Any

from rest_framework import serializers

from kernel.http.shapes import StrictInput
from limits import choices
from limits.choices import LimitScope


def _limit(most: int, help_text: str) -> serializers.IntegerField:
    return serializers.IntegerField(
        min_value=1, max_value=most, required=False, allow_null=True, help_text=help_text
    )


class LimitChange(StrictInput[Any]):
    """`PATCH /limits/{id}`: what is left out stays, null lifts a limit."""

    max_concurrent = _limit(choices.MOST_CONCURRENT, "Tasks that run at once.")
    requests_per_minute = _limit(choices.MOST_REQUESTS, "Model calls in any 60 seconds.")
    tokens_per_minute = _limit(choices.MOST_TOKENS, "Their tokens, of input and output.")


class LimitInput(LimitChange):
    """`POST /limits`."""

    scope = serializers.ChoiceField(LimitScope.choices)
    name = serializers.CharField(
        max_length=choices.NAME_LENGTH,
        help_text="Agent id, provider or key; * is each without a rule of its own, for itself.",
    )


class LimitOutput(serializers.Serializer[Any]):
    """A rule and how it stands.

    Of a rule named *, `running` is that of the fullest, and the minute's figures are null.
    `counting` is false while the hub's Redis does not answer.
    """

    id = serializers.UUIDField(source="rule.pk")
    scope = serializers.ChoiceField(LimitScope.choices, source="rule.scope")
    name = serializers.CharField(source="rule.name")
    max_concurrent = serializers.IntegerField(source="rule.max_concurrent", allow_null=True)
    requests_per_minute = serializers.IntegerField(
        source="rule.requests_per_minute", allow_null=True
    )
    tokens_per_minute = serializers.IntegerField(source="rule.tokens_per_minute", allow_null=True)
    running = serializers.IntegerField()
    requests_in_minute = serializers.IntegerField(source="requests", allow_null=True)
    tokens_in_minute = serializers.IntegerField(source="tokens", allow_null=True)
    counting = serializers.BooleanField(source="is_counting")
    created_at = serializers.DateTimeField(source="rule.created_at")
    updated_at = serializers.DateTimeField(source="rule.updated_at")
