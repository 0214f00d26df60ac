"""The honest provider's routes, and what it says of people."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import authenticate, login
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import include, path
from oauth2_provider.oauth2_validators import OAuth2Validator

FORM = """<!doctype html><title>Provider</title><form method="post">
<input name="username"><input name="password" type="password"><button>Log in</button></form>"""


class Validator(OAuth2Validator):  # type: ignore[misc]  # the library ships no types
    """Says what the folder's `people.json` says, whatever scope was asked for."""

    oidc_claim_scope = None

    def get_additional_claims(self, request: Any) -> dict[str, Any]:
        """Of the person who logged in."""
        folder: Path = settings.PROVIDER_FOLDER  # type: ignore[misc]  # not the hub's settings
        people = json.loads((folder / "people.json").read_text())
        claims: dict[str, Any] = people[request.user.get_username()]
        return claims


def log_in(request: HttpRequest) -> HttpResponse:
    """Name and password."""
    if request.method == "POST":
        user = authenticate(
            request, username=request.POST["username"], password=request.POST["password"]
        )
        if user is not None:
            login(request, user)
            return HttpResponseRedirect(request.GET["next"])
    return HttpResponse(FORM)


urlpatterns = [
    path("login/", log_in),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]
