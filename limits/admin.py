"""The console's page of limits, with what runs and was asked for."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from kernel import clock, display
from kernel.admin import ConsoleAdmin, confirmed
from kernel.admin_columns import column, exact_time
from kernel.admin_forms import NUMBER, SELECT, DialogForm, form_button, list_form_button, text
from limits import choices, selectors
from limits.choices import LIMITS, LimitScope
from limits.models import LimitRule
from limits.operations import rules, standings
from limits.operations.standings import Shown
from preferences.choices import EDIT


def _limit(label: str, most: int) -> forms.IntegerField:
    return forms.IntegerField(
        label=label, required=False, min_value=1, max_value=most, widget=NUMBER()
    )


class LimitsForm(DialogForm):
    """The limits of a rule; an empty one is none."""

    max_concurrent = _limit("Tasks at once", choices.MOST_CONCURRENT)
    requests_per_minute = _limit("Model calls a minute", choices.MOST_REQUESTS)
    tokens_per_minute = _limit("Tokens a minute", choices.MOST_TOKENS)

    def prepare(self) -> None:
        """A rule that is there has limits."""
        if self.object_id is None:
            return
        rows = selectors.list_limits(organization_id=self.request.user.organization_id)
        rule = rows.filter(pk=self.object_id).first()
        for name in LIMITS:
            self.fields[name].initial = getattr(rule, name, None)


class LimitForm(LimitsForm):
    """A new rule."""

    scope = forms.ChoiceField(label="Counted by", choices=LimitScope.choices, widget=SELECT())
    name = text(
        "Name",
        length=choices.NAME_LENGTH,
        help_text="An agent's id, a provider, a key of tasks; * for each one for itself.",
    )
    field_order: ClassVar = ["scope", "name"]


def _shown(rule: LimitRule) -> Shown:
    """How it stands, asked for all of a list's page at once."""
    found: Shown | None = getattr(rule, "shown", None)
    return found or standings.show(rules=[rule], now=clock.now())[0]


def _whose(rule: LimitRule) -> str:
    if rule.scope == LimitScope.AGENT and rule.name != choices.EACH:
        return str(display.page_link("agents_agent", rule.name))
    return rule.name


def _of(used: int | None, limit: int | None) -> str:
    if limit is None:
        return display.NOTHING
    return f"at most {limit:,}" if used is None else f"{used:,} of {limit:,}"


def _requests(shown: Shown) -> str:
    return _of(shown.requests, shown.rule.requests_per_minute)


def _tokens(shown: Shown) -> str:
    return _of(shown.tokens, shown.rule.tokens_per_minute)


def _running(shown: Shown) -> str:
    return _of(shown.running, shown.rule.max_concurrent)


def _counting(shown: Shown) -> str:
    if shown.is_counting:
        return display.status("active", "Counting")
    return display.status("inactive", "Not counting: no Redis")


STANDING: Final = (
    column("tasks at once", _shown, _running),
    column("calls this minute", _shown, _requests),
    column("tokens this minute", _shown, _tokens),
    column("state", _shown, _counting),
)
NAME: Final = column("name", lambda rule: rule, _whose)


@admin.register(LimitRule)
class LimitAdmin(ConsoleAdmin):
    """How much may run at once, and be asked of models in a minute."""

    page_title = "Limits"
    view_permission = EDIT
    edit_permission = EDIT
    api_path = "/api/v1/limits"
    list_display: ClassVar = ("scope", NAME, *STANDING, "short_id")
    search_fields: ClassVar = ("name",)
    list_filter: ClassVar = ("scope",)
    linked_filters: ClassVar = ("name",)
    ordering: ClassVar = ("scope", "name", "pk")
    fields: ClassVar = (
        "scope",
        NAME,
        *STANDING,
        exact_time("created_at"),
        exact_time("updated_at"),
        "whole_id",
        "api_link",
    )
    actions_list: ClassVar = ("create_limit",)
    actions_detail: ClassVar = ("change_limit", "delete_limit")

    def read_along(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """How they stand, in one query and one question to Redis."""
        for shown in standings.show(rules=rows, now=clock.now()):
            shown.rule.shown = shown  # type: ignore[attr-defined]  # read by `_shown`

    @list_form_button("New limit", LimitForm, icon="add")
    def create_limit(self, request: HttpRequest, scope: str, name: str, **limits: Any) -> None:
        """Make one."""
        rules.create_limit(scope=scope, name=name, limits=limits, **self.who(request))

    @form_button("Change", LimitsForm, icon="tune")
    def change_limit(self, request: HttpRequest, rule: LimitRule, **limits: Any) -> None:
        """Give it other limits."""
        rules.change_limit(limit_id=rule.pk, limits=limits, **self.who(request))

    @confirmed("Delete", "Nothing is counted by it any more.")
    def delete_limit(self, request: HttpRequest, rule: LimitRule) -> None:
        """Remove it."""
        self.attempt(request, rules.delete_limit, limit_id=rule.pk, **self.who(request))
