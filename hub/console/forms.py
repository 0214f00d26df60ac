"""The console's own forms: logging in, and one's account."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from unfold.forms import AuthenticationForm
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget

from accounts.models import Session
from accounts.operations import login
from accounts.operations.login import Awaited
from hub.console import browsers
from kernel import clock
from kernel.admin_forms import FreshFactor
from kernel.errors import DomainError


class LoginForm(AuthenticationForm):  # type: ignore[misc]  # unfold ships no types
    """E-mail and password; `found` is the session that they opened, or what is awaited."""

    found: Session | Awaited

    def clean(self) -> dict[str, Any]:
        """Raises ValidationError with what the API would answer."""
        email, password = (self.cleaned_data.get(name) for name in ("username", "password"))
        if email and password:
            try:
                self.found = login.enter(
                    email=email,
                    password=password,
                    now=clock.now(),
                    origin=browsers.origin(self.request),
                )
            except DomainError as refusal:
                raise ValidationError(refusal.detail) from None
        return dict(self.cleaned_data)


class CodeForm(forms.Form):
    """The second step of a login; `found` is the session that it opened."""

    code = forms.CharField(
        label="Code of your authenticator, or a backup code",
        max_length=32,
        widget=UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "autofocus": True, "inputmode": "text"}
        ),
    )
    found: Session

    def __init__(self, request: HttpRequest, *args: Any, temp_token: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request, self._temp_token = request, temp_token

    def clean(self) -> dict[str, Any]:
        """Raises ValidationError with what the API would answer."""
        if code := self.cleaned_data.get("code"):
            try:
                self.found = login.enter_second(
                    temp_token=self._temp_token,
                    code=code,
                    now=clock.now(),
                    origin=browsers.origin(self._request),
                )
            except DomainError as refusal:
                raise ValidationError(refusal.detail) from None
        return dict(self.cleaned_data)


def _secret(label: str, autocomplete: str) -> forms.CharField:
    widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": autocomplete})
    return forms.CharField(label=label, max_length=1024, strip=False, widget=widget)


def _code() -> forms.CharField:
    widget = UnfoldAdminTextInputWidget(attrs={"autocomplete": "one-time-code"})
    return forms.CharField(label="Code", max_length=32, widget=widget)


class PasswordForm(forms.Form):
    """A new password."""

    current_password = _secret("Current password", "current-password")
    new_password = _secret("New password", "new-password")
    again = _secret("New password, again", "new-password")

    def clean(self) -> dict[str, Any]:
        """Raises ValidationError for a slip of the fingers."""
        if self.cleaned_data.get("new_password") != self.cleaned_data.get("again"):
            raise ValidationError("The new password was typed in two ways. Type it again.")
        return dict(self.cleaned_data)


class ConfirmForm(forms.Form):
    """A code alone."""

    code = _code()


class BothForm(forms.Form):
    """Password and code."""

    password = _secret("Password", "current-password")
    code = _code()


class KeyForm(FreshFactor, forms.Form):
    """A new API key; scopes are separated by blanks or commas."""

    name = forms.CharField(max_length=255, widget=UnfoldAdminTextInputWidget())
    scopes = forms.CharField(
        max_length=2000,
        initial="read",
        help_text="`read`, `write`, or keys of the permission catalogue, with blanks in between.",
        widget=UnfoldAdminTextInputWidget(),
    )
    days = forms.IntegerField(
        label="Days until it ends",
        min_value=1,
        max_value=3650,
        initial=90,
        widget=UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric"}),
    )

    def clean_scopes(self) -> list[str]:
        """As a list."""
        return str(self.cleaned_data["scopes"]).replace(",", " ").split()
