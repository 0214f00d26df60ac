"""The page Audit export: which time, then the browser downloads it from the API's own route."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminTextInputWidget

from audit.selectors import checkpoints, exports
from kernel import clock

PERMISSION: Final = "audit.export"
ROUTE: Final = "/api/v1/audit-events/export"
TEMPLATE: Final = "console/audit_export.html"
MINUTES: Final = "%Y-%m-%dT%H:%M"
REFUSED: Final = {
    "audit.too_many_exports": "Too many exports are under way. Try again in a minute.",
    "rate.limited": "You asked too often. Try again in a minute.",
    "service.unavailable": "The database does not answer. Try again soon.",
}
NOTHING: Final = "Nothing is recorded from that time. Rows are sealed within a few seconds."
OTHERWISE: Final = "The export was refused. Log in again, then try once more."


def export_page(request: HttpRequest, *, context: Mapping[str, Any]) -> HttpResponse:
    """The form; once it is sent the browser goes on to the route, which streams."""
    form = SpanForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and _has_rows(request, form):
        return redirect(f"{ROUTE}?{urlencode(form.query())}")
    refused = request.GET.get("refused")
    sentence = "" if refused is None else REFUSED.get(refused, OTHERWISE)
    shown = {**context, "title": "Audit export", "form": form, "refused": sentence}
    shown["keys"] = checkpoints.list_keys()
    return TemplateResponse(request, TEMPLATE, shown)


def _has_rows(request: HttpRequest, form: "SpanForm") -> bool:
    user: Any = request.user
    extent = exports.choose(
        organization_id=user.organization_id, **form.cleaned_data, now=clock.now()
    )
    if extent.last < extent.first:
        form.add_error(None, NOTHING)
        return False
    return True


def _moment(label: str, help_text: str) -> forms.DateTimeField:
    attributes = {"type": "datetime-local"}
    return forms.DateTimeField(
        label=f"{label} (UTC)",
        required=False,
        help_text=help_text,
        input_formats=[MINUTES, f"{MINUTES}:%S"],
        widget=UnfoldAdminTextInputWidget(attrs=attributes),
    )


class SpanForm(forms.Form):
    """From when to when."""

    since = _moment("Since", "Rows of this moment and later. Empty: from the first one.")
    until = _moment("Until", "Rows from before this moment. Empty: to the newest one.")

    def clean(self) -> dict[str, Any]:
        """Raises ValidationError for a span that nothing is in."""
        since, until = (self.cleaned_data.get(name) for name in ("since", "until"))
        if since and until and since >= until:
            raise ValidationError("The end must be after the beginning.")
        return dict(self.cleaned_data)

    def query(self) -> dict[str, str]:
        """For the route."""
        given: dict[str, datetime | None] = self.cleaned_data
        return {
            name: f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
            for name, moment in given.items()
            if moment is not None
        }
