"""Wire shapes of the security policy and of IP rules (contract 003 B17)."""

from functools import partial
from typing import Any

from rest_framework import serializers

from accounts.choices import IpAction
from accounts.models import IpRule
from accounts.selectors.security_policy import METHODS
from kernel.http.shapes import StrictInput

_whole = partial(serializers.IntegerField, required=False, allow_null=True)
_flag = partial(serializers.BooleanField, required=False, allow_null=True)


class PasswordPolicyOutput(serializers.Serializer[None]):
    """What a password must be like."""

    min_length = serializers.IntegerField()
    require_uppercase = serializers.BooleanField()
    require_lowercase = serializers.BooleanField()
    require_digit = serializers.BooleanField()
    require_special = serializers.BooleanField()
    max_age_days = serializers.IntegerField(help_text="0: a password never grows too old.")
    history_count = serializers.IntegerField(help_text="Last passwords that may not come back.")


class MfaPolicyOutput(serializers.Serializer[None]):
    """Whether everybody needs a second factor."""

    enabled = serializers.BooleanField(help_text="Required of everybody after the grace period.")
    methods = serializers.ListField(child=serializers.CharField())
    grace_period_hours = serializers.IntegerField()


class StepUpPolicyOutput(serializers.Serializer[None]):
    """Whether dangerous actions ask for a fresh second factor."""

    enabled = serializers.BooleanField()
    max_age_minutes = serializers.IntegerField()


class SessionPolicyOutput(serializers.Serializer[None]):
    """How long people stay logged in."""

    max_duration_hours = serializers.IntegerField()
    idle_timeout_minutes = serializers.IntegerField()
    max_concurrent_sessions = serializers.IntegerField()


class LockoutPolicyOutput(serializers.Serializer[None]):
    """What follows wrong passwords."""

    threshold = serializers.IntegerField()
    minutes = serializers.IntegerField()


class RegistrationPolicyOutput(serializers.Serializer[None]):
    """Whether strangers may register."""

    enabled = serializers.BooleanField()


class RateLimitsOutput(serializers.Serializer[None]):
    """How much one person or API key may ask."""

    per_user_per_minute = serializers.IntegerField()


class SecurityOutput(serializers.Serializer[None]):
    """The whole policy."""

    password_policy = PasswordPolicyOutput()
    mfa = MfaPolicyOutput()
    step_up = StepUpPolicyOutput()
    session = SessionPolicyOutput()
    lockout = LockoutPolicyOutput()
    registration = RegistrationPolicyOutput()
    rate_limits = RateLimitsOutput()


class PasswordPolicyInput(StrictInput[None]):
    """The fields that are to change; null resets one."""

    min_length = _whole()
    require_uppercase = _flag()
    require_lowercase = _flag()
    require_digit = _flag()
    require_special = _flag()
    max_age_days = _whole()
    history_count = _whole()


class MfaPolicyInput(StrictInput[None]):
    """The same; `methods` is what the hub knows and cannot be changed."""

    enabled = _flag()
    methods = serializers.ListField(child=serializers.CharField(), required=False)
    grace_period_hours = _whole()


class StepUpPolicyInput(StrictInput[None]):
    """The same."""

    enabled = _flag()
    max_age_minutes = _whole()


class SessionPolicyInput(StrictInput[None]):
    """The same."""

    max_duration_hours = _whole()
    idle_timeout_minutes = _whole()
    max_concurrent_sessions = _whole()


class LockoutPolicyInput(StrictInput[None]):
    """The same."""

    threshold = _whole()
    minutes = _whole()


class RegistrationPolicyInput(StrictInput[None]):
    """The same."""

    enabled = _flag()


class RateLimitsInput(StrictInput[None]):
    """The same."""

    per_user_per_minute = _whole()


class SecurityInput(StrictInput[None]):
    """The sections and fields that are to change."""

    password_policy = PasswordPolicyInput(required=False)
    mfa = MfaPolicyInput(required=False)
    step_up = StepUpPolicyInput(required=False)
    session = SessionPolicyInput(required=False)
    lockout = LockoutPolicyInput(required=False)
    registration = RegistrationPolicyInput(required=False)
    rate_limits = RateLimitsInput(required=False)

    def validate(self, attrs: Any) -> Any:
        """Who sends back what they read sends `mfa.methods` too."""
        methods = attrs.get("mfa", {}).pop("methods", METHODS)
        if methods != METHODS:
            known = ", ".join(METHODS)
            raise serializers.ValidationError({"mfa": {"methods": f"The hub knows only: {known}."}})
        return attrs


class PolicyChangedOutput(serializers.Serializer[None]):
    """The password policy after the change."""

    status = serializers.CharField()
    policy = PasswordPolicyOutput()


class IpRuleOutput(serializers.ModelSerializer[IpRule]):
    """One network that is let in or kept out."""

    class Meta:
        model = IpRule
        fields = ["id", "cidr", "action", "description"]
        read_only_fields = fields


class IpRulesOutput(serializers.Serializer[Any]):
    """The list as it stands now."""

    items = IpRuleOutput(many=True)


class IpRuleInput(StrictInput[None]):
    """The same, from outside."""

    cidr = serializers.CharField(max_length=64)
    action = serializers.ChoiceField(IpAction.choices)
    description = serializers.CharField(
        max_length=255, allow_blank=True, required=False, default=""
    )


class IpRulesInput(StrictInput[None]):
    """The whole list, in order; a bare array is understood too."""

    items = IpRuleInput(many=True)

    def to_internal_value(self, data: Any) -> Any:
        """The list may stand alone."""
        return super().to_internal_value({"items": data} if isinstance(data, list) else data)
