"""Wire shapes of settings (contract 003 B9)."""

from rest_framework import serializers

from preferences.choices import KINDS


class SettingOutput(serializers.Serializer[None]):
    """One setting; of a secret only a mask, or null when none is set."""

    value = serializers.JSONField(allow_null=True)
    description = serializers.CharField()
    type = serializers.ChoiceField(KINDS)
    choices = serializers.ListField(child=serializers.CharField(allow_blank=True))
    minimum = serializers.FloatField(allow_null=True)
    maximum = serializers.FloatField(allow_null=True)
    is_secret = serializers.BooleanField()
    is_default = serializers.BooleanField()


class SettingsOutput(serializers.Serializer[None]):
    """All of them, by category and key."""

    general = serializers.DictField(child=SettingOutput())
    llm = serializers.DictField(child=SettingOutput())
    email = serializers.DictField(child=SettingOutput())
    security = serializers.DictField(child=SettingOutput())
    notifications = serializers.DictField(child=SettingOutput())
    storage = serializers.DictField(child=SettingOutput())


class SettingInput(serializers.Serializer[None]):
    """The new value; null for the default."""

    value = serializers.JSONField(allow_null=True)


class SettingsInput(serializers.Serializer[None]):
    """New values by `<category>.<key>`; null for the default."""

    settings = serializers.DictField(child=serializers.JSONField(allow_null=True))


class ChangedOutput(serializers.Serializer[None]):
    """Which setting was changed."""

    key = serializers.CharField()
    status = serializers.CharField()


class CountOutput(serializers.Serializer[None]):
    """How many settings were given."""

    updated = serializers.IntegerField()
