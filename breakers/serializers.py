"""Wire shapes of circuit breakers (contract 003 B15)."""

from typing import Any

from rest_framework import serializers

from breakers import choices
from breakers.choices import BreakerState
from kernel.http.shapes import StrictInput


def _limit(default: int, most: int) -> serializers.IntegerField:
    return serializers.IntegerField(
        min_value=1, max_value=most, required=False, help_text=f"{default} if it is new."
    )


class BreakerInput(StrictInput[Any]):
    """`POST /circuit-breakers`: what is left out stays as it is."""

    name = serializers.RegexField(
        rf"^{choices.NAME}\Z",
        error_messages={"invalid": "Use letters a-z, digits and . _ : - (at most 128)."},
    )
    failure_threshold = _limit(choices.FAILURE_THRESHOLD, choices.MOST_CALLS)
    window_seconds = _limit(choices.WINDOW_SECONDS, choices.MOST_SECONDS)
    recovery_timeout_seconds = _limit(choices.RECOVERY_TIMEOUT_SECONDS, choices.MOST_SECONDS)
    success_threshold = _limit(choices.SUCCESS_THRESHOLD, choices.MOST_CALLS)
    trial_timeout_seconds = _limit(choices.TRIAL_TIMEOUT_SECONDS, choices.MOST_SECONDS)

    def validate_name(self, name: str) -> str:
        """Hosts as calls name them."""
        if not choices.is_name(name):
            raise serializers.ValidationError(choices.MISNAMED, code="invalid")
        return name


class BreakerOutput(serializers.Serializer[Any]):
    """A breaker and how it stands. `counting` is false while the hub's Redis does not answer."""

    service = serializers.CharField(source="breaker.name")
    state = serializers.ChoiceField(BreakerState.choices)
    forced = serializers.BooleanField(source="is_forced")
    failure_count = serializers.IntegerField(source="standing.failure_count")
    total_successes = serializers.IntegerField(source="standing.total_successes")
    total_failures = serializers.IntegerField(source="standing.total_failures")
    success_rate = serializers.FloatField(allow_null=True)
    last_failure = serializers.DateTimeField(source="standing.last_failure", allow_null=True)
    since = serializers.DateTimeField(source="standing.since", allow_null=True)
    counting = serializers.BooleanField(source="is_counting")
    failure_threshold = serializers.IntegerField(source="breaker.failure_threshold")
    window_seconds = serializers.IntegerField(source="breaker.window_seconds")
    recovery_timeout_seconds = serializers.IntegerField(source="breaker.recovery_timeout_seconds")
    success_threshold = serializers.IntegerField(source="breaker.success_threshold")
    trial_timeout_seconds = serializers.IntegerField(source="breaker.trial_timeout_seconds")


class SwitchedOutput(serializers.Serializer[Any]):
    """What an action led to."""

    service = serializers.CharField()
    state = serializers.ChoiceField(BreakerState.choices)
    counting = serializers.BooleanField(help_text="False while the hub's Redis does not answer.")
    message = serializers.CharField()
