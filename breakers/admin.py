"""The console's board of circuit breakers."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.http import HttpRequest
from django.utils.html import format_html

from audit.models import AuditEvent
from breakers import choices, selectors
from breakers.choices import Forced
from breakers.models import CircuitBreaker
from breakers.operations import standings, switches
from breakers.operations.standings import Shown
from kernel import clock, display
from kernel.admin import ConsoleAdmin, IndexedChangeList, confirmed
from kernel.admin_columns import column, exact_time
from kernel.admin_forms import NUMBER, DialogForm, form_button, list_form_button, text
from preferences.choices import EDIT


class Board(IndexedChangeList):
    """Breakers with how they stand: one question to Redis a page."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        """Django's, and what Redis knows of the page's rows."""
        super().get_results(request)
        rows: list[CircuitBreaker] = list(self.result_list)
        for shown in standings.show(breakers=rows, now=clock.now()):
            shown.breaker.shown = shown  # type: ignore[attr-defined]  # read by `_shown`
        self.result_list = rows


def _limit(label: str, default: int, most: int) -> forms.IntegerField:
    return forms.IntegerField(
        label=label, initial=default, min_value=1, max_value=most, widget=NUMBER()
    )


class LimitsForm(DialogForm):
    """The limits of a breaker."""

    failure_threshold = _limit(
        "Failures that open it", choices.FAILURE_THRESHOLD, choices.MOST_CALLS
    )
    window_seconds = _limit("… within seconds", choices.WINDOW_SECONDS, choices.MOST_SECONDS)
    recovery_timeout_seconds = _limit(
        "Seconds until it tries again", choices.RECOVERY_TIMEOUT_SECONDS, choices.MOST_SECONDS
    )
    success_threshold = _limit(
        "Trials that close it, and run at once", choices.SUCCESS_THRESHOLD, choices.MOST_CALLS
    )
    trial_timeout_seconds = _limit(
        "Seconds after which a trial has failed",
        choices.TRIAL_TIMEOUT_SECONDS,
        choices.MOST_SECONDS,
    )

    def prepare(self) -> None:
        """A breaker that is there has limits."""
        if self.object_id is None:
            return
        rows = selectors.list_breakers(organization_id=self.request.user.organization_id)
        breaker = rows.filter(pk=self.object_id).first()
        for name in self.fields:
            self.fields[name].initial = getattr(breaker, name, self.fields[name].initial)


class BreakerForm(LimitsForm):
    """A new breaker."""

    name = text("Name", length=128, help_text="Such as provider:openai or host:api.example.com.")
    field_order: ClassVar = ["name"]

    def clean_name(self) -> str:
        """The name as the API takes it."""
        name: str = self.cleaned_data["name"]
        forms.RegexField(rf"^{choices.NAME}\Z").clean(name)
        if not choices.is_name(name):
            raise forms.ValidationError(choices.MISNAMED, code="invalid")
        return name


def _shown(breaker: CircuitBreaker) -> Shown:
    """How it stands, asked for all of a list's page at once."""
    found: Shown | None = getattr(breaker, "shown", None)
    return found or standings.show(breakers=[breaker], now=clock.now())[0]


def _state(shown: Shown) -> str:
    words = shown.state.label + (", held" if shown.is_forced else "")
    badge = f"{shown.state}_held" if shown.is_forced else f"breaker_{shown.state}"
    return display.status(badge, words if shown.is_counting else f"{words}, not counting")


def _since(breaker: CircuitBreaker) -> str:
    """Since when it stands so; for one that is held, by whom, too."""
    held: AuditEvent | None = getattr(breaker, "held", None)
    if held is not None:
        moment = display.since(held.occurred_at, now=clock.now())
        return format_html("<span>{}, by {}</span>", moment, held.actor_label or held.actor_type)
    return display.since(_shown(breaker).standing.since, now=clock.now())


def _failures(shown: Shown) -> str:
    return f"{shown.standing.failure_count} of {shown.breaker.failure_threshold}"


def _rate(shown: Shown) -> str:
    return display.NOTHING if shown.success_rate is None else f"{shown.success_rate:.1%}"


def _last_failure(shown: Shown) -> str:
    return display.since(shown.standing.last_failure, now=clock.now())


STANDING: Final = (
    column("state", _shown, _state),
    column("since", lambda breaker: breaker, _since),
    column("failures", _shown, _failures),
    column("succeeded", _shown, _rate),
    column("last failure", _shown, _last_failure),
)


@admin.register(CircuitBreaker)
class BreakerAdmin(ConsoleAdmin):
    """Who is not called for a while."""

    page_title = "Circuit breakers"
    view_permission = EDIT
    edit_permission = EDIT
    list_display: ClassVar = (
        "name",
        *STANDING,
    )
    search_fields: ClassVar = ("name",)
    list_filter: ClassVar = ("forced",)
    ordering: ClassVar = ("name", "pk")
    fields: ClassVar = (
        "name",
        *STANDING,
        "failure_threshold",
        "window_seconds",
        "recovery_timeout_seconds",
        "success_threshold",
        "trial_timeout_seconds",
        exact_time("created_at"),
        exact_time("updated_at"),
        "whole_id",
    )
    actions_list: ClassVar = ("create_breaker",)
    actions_detail: ClassVar = ("change_limits", "force_open", "force_close", "reset_breaker")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list with states."""
        return Board

    def read_along(self, request: HttpRequest, rows: Sequence[CircuitBreaker]) -> None:
        """Who holds those that somebody does."""
        forced = [row for row in rows if row.forced != Forced.NOT]
        found = selectors.find_holders(
            organization_id=request.user.organization_id,  # type: ignore[union-attr]  # logged in
            breaker_ids=[row.pk for row in forced],
        )
        for row in forced:
            row.held = found.get(str(row.pk))  # type: ignore[attr-defined]  # read by `_since`

    @list_form_button("New breaker", BreakerForm, icon="add")
    def create_breaker(self, request: HttpRequest, name: str, **limits: Any) -> None:
        """Make one, or change the limits of one."""
        switches.configure(name=name, limits=limits, **self.who(request))

    @form_button("Change limits", LimitsForm, icon="tune")
    def change_limits(self, request: HttpRequest, breaker: CircuitBreaker, **limits: Any) -> None:
        """Give it other limits."""
        switches.configure(name=breaker.name, limits=limits, **self.who(request))

    @confirmed("Hold open", "No call goes out until it is reset.")
    def force_open(self, request: HttpRequest, breaker: CircuitBreaker) -> None:
        """Let nothing through."""
        self._force(request, breaker, Forced.OPEN)

    @confirmed("Hold closed", "Every call goes out, whatever fails, until it is reset.")
    def force_close(self, request: HttpRequest, breaker: CircuitBreaker) -> None:
        """Let everything through."""
        self._force(request, breaker, Forced.CLOSED)

    @confirmed("Reset", "It is closed, nobody holds it, and it counts from nothing.")
    def reset_breaker(self, request: HttpRequest, breaker: CircuitBreaker) -> None:
        """Start anew."""
        self.attempt(request, switches.reset, name=breaker.name, **self.who(request))

    def _force(self, request: HttpRequest, breaker: CircuitBreaker, state: Forced) -> None:
        self.attempt(request, switches.force, name=breaker.name, state=state, **self.who(request))
