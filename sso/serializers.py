"""Wire shapes of logging in with an identity provider."""

from typing import Any

from rest_framework import serializers


class StartInput(serializers.Serializer[Any]):
    """`POST /auth/oidc/start`; `organization` is a slug, needed where the hub has several."""

    organization = serializers.SlugField(max_length=64, allow_blank=True, default="")
    redirect_uri = serializers.CharField(max_length=500, allow_blank=True, default="")


class StartOutput(serializers.Serializer[Any]):
    """Where to send the browser; `state` goes to `finish`, once, until `expires_at`."""

    authorization_url = serializers.URLField()
    state = serializers.CharField()
    expires_at = serializers.DateTimeField()


class FinishInput(serializers.Serializer[Any]):
    """`POST /auth/oidc/finish`; what the provider sent to the redirect address, `iss` if it did."""

    state = serializers.CharField(max_length=256)
    code = serializers.CharField(max_length=4096)
    iss = serializers.CharField(max_length=255, allow_blank=True, default="")
