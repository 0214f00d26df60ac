"""The console's page of budgets: how they stand, and what each day cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Final
from uuid import UUID

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string

from cost import choices
from cost.choices import BudgetPeriod, BudgetScope, BudgetSource
from cost.models import Budget
from cost.operations import budgets as operations
from cost.selectors import budgets, reports, spending
from cost.selectors.reports import Day
from cost.selectors.spending import Standing
from kernel import clock, display
from kernel.admin import ConsoleAdmin, confirmed, names_of
from kernel.admin_columns import column, exact_time
from kernel.admin_forms import SELECT, TEXT, DialogForm, form_button, list_form_button
from kernel.admin_links import choices_of
from preferences.choices import EDIT

CHART_DAYS: Final = 30
CHART_HEIGHT: Final = 100
PAGES: Final = {
    BudgetScope.AGENT: "agents_agent",
    BudgetScope.TASK: "tasks_task",
    BudgetScope.RUN: "agents_agentexecution",
}
# The scopes that the audit trail has the same word for.
NAMED: Final = (BudgetScope.AGENT, BudgetScope.TASK)
HARDNESS: Final = (("soft", "Tell, and go on"), ("hard", "Refuse model calls"))


@dataclass(frozen=True, slots=True)
class Bar:
    """A day of the chart, in units of its own; `top` is measured from above."""

    day: Day
    left: int
    top: int
    height: int


def _bars(days: Sequence[Day]) -> list[Bar]:
    dearest = max(day.sums.cost for day in days)
    heights = [round(CHART_HEIGHT * day.sums.cost / dearest) if dearest else 0 for day in days]
    return [
        Bar(day, 10 * place, CHART_HEIGHT - height, height)
        for place, (day, height) in enumerate(zip(days, heights, strict=True))
    ]


def _gauge(stands: Standing) -> str:
    """Spent and held of the limit, as a bar that is never wider than it."""
    if stands.spent_usd is None or stands.reserved_usd is None:
        return "each for itself"
    limit = stands.budget.limit_usd
    spent = min(100, round(spending.percent(stands.spent_usd, limit)))
    held = min(100 - spent, round(spending.percent(stands.reserved_usd, limit)))
    shown = {"stands": stands, "spent": spent, "held": held, "held_from": spent}
    return render_to_string("console/budget_gauge.html", shown)


class BudgetLimits(DialogForm):
    """What can be changed of a budget."""

    limit_usd = forms.DecimalField(
        label="Limit in US dollars",
        min_value=0,
        max_digits=choices.MONEY_DIGITS,
        decimal_places=choices.MONEY_PLACES,
        widget=TEXT(),
    )
    at_limit = forms.ChoiceField(label="At the limit", choices=HARDNESS, widget=SELECT())
    alert_thresholds = forms.CharField(
        label="Tell at per cent of it",
        required=False,
        max_length=64,
        initial=", ".join(map(str, choices.DEFAULT_THRESHOLDS)),
        widget=TEXT(),
    )

    def prepare(self) -> None:
        """A budget that is there has values."""
        if self.object_id is None:
            return
        rows = budgets.list_budgets(organization_id=self.request.user.organization_id)
        budget = rows.filter(pk=self.object_id).first()
        if budget is not None:
            self.fields["limit_usd"].initial = f"{budget.limit_usd.normalize():f}"
            self.fields["at_limit"].initial = "hard" if budget.is_hard else "soft"
            shown = ", ".join(map(str, budget.alert_thresholds))
            self.fields["alert_thresholds"].initial = shown

    def clean_alert_thresholds(self) -> list[int]:
        """Ascending numbers from 1 to 100."""
        words = self.cleaned_data["alert_thresholds"].replace(",", " ").split()
        found = [int(word) for word in words if word.isdecimal() and len(word) < 4]
        is_fine = len(found) == len(words) <= choices.MOST_THRESHOLDS
        if not is_fine or found != sorted(set(found)) or not all(0 < n <= 100 for n in found):
            raise forms.ValidationError("Enter ascending numbers from 1 to 100.")
        return found

    def values(self) -> dict[str, Any]:
        """As the operation takes them."""
        found = super().values()
        found["is_hard"] = found.pop("at_limit") == "hard"
        return found


class BudgetForm(BudgetLimits):
    """A new budget."""

    scope = forms.ChoiceField(label="Of", choices=BudgetScope.choices, widget=SELECT())
    agent = forms.ChoiceField(
        label="Which agent", required=False, help_text="For a budget of an agent.", widget=SELECT()
    )
    subject_id = forms.UUIDField(
        label="Id of the task or run",
        required=False,
        help_text="Left out: each one has the budget for itself.",
        widget=TEXT(),
    )
    period = forms.ChoiceField(label="For each", choices=BudgetPeriod.choices, widget=SELECT())
    field_order: ClassVar = ["scope", "agent", "subject_id", "period"]

    def prepare(self) -> None:
        """The agents by name."""
        super().prepare()
        agents = choices_of(self.request, "agent")
        self.fields["agent"].choices = [("", "Each one for itself"), *agents]

    def clean(self) -> dict[str, Any]:
        """Whose it is, said once: a budget of another than was meant would go unnoticed."""
        found = super().clean()
        if found.get("agent") and found.get("scope", BudgetScope.AGENT) != BudgetScope.AGENT:
            self.add_error("agent", "Choose none, or make the budget of an agent.")
        elif found.get("agent") and found.get("subject_id"):
            self.add_error("subject_id", "Choose the agent above, or give an id; not both.")
        return found

    def values(self) -> dict[str, Any]:
        """As the operation takes them."""
        found = super().values()
        if agent := found.pop("agent"):
            found["subject_id"] = UUID(agent)
        return found


def _stands(budget: Budget) -> Standing:
    found: Standing | None = getattr(budget, "stands", None)
    return found or _ask([budget])[0]


def _ask(rows: Sequence[Budget]) -> list[Standing]:
    return spending.stand(budgets=rows, organization_id=rows[0].organization_id, now=clock.now())


def _subject(budget: Budget) -> str:
    if budget.scope == BudgetScope.ORGANIZATION:
        return display.NOTHING
    if budget.subject_id is None:
        return "each"
    names: Mapping[tuple[str, str], str] = getattr(budget, "names", {})
    name = names.get((budget.scope, str(budget.subject_id)), "")
    return str(display.page_link(PAGES[BudgetScope(budget.scope)], budget.subject_id, name))


def _is_own(budget: Budget) -> bool:
    return budget.source == BudgetSource.PERSON


def _kind(budget: Budget) -> str:
    if not budget.is_active:
        return display.status("inactive", "Inactive")
    return display.status("hard", "Hard") if budget.is_hard else display.status("soft", "Soft")


def _money(amount: Decimal | None) -> str:
    return display.NOTHING if amount is None else display.money(amount)


GAUGE: Final = column("used", _stands, _gauge)
KIND: Final = column("kind", lambda budget: budget, _kind)
SUBJECT: Final = column("whose", lambda budget: budget, _subject)
LIMIT: Final = column("limit", lambda budget: budget.limit_usd, display.money)


@admin.register(Budget)
class BudgetAdmin(ConsoleAdmin):
    """How much may be spent, by whom."""

    page_title = "Budgets"
    view_permission = "cost.read"
    edit_permission = EDIT
    api_path = "/api/v1/budgets"
    list_display: ClassVar = ("scope", SUBJECT, "period", LIMIT, GAUGE, KIND, "source", "short_id")
    list_filter: ClassVar = ("is_active", "scope", "period", "source")
    linked_filters: ClassVar = ("subject_id",)
    list_before_template = "console/budget_chart.html"
    ordering: ClassVar = ("-is_active", "-created_at", "-pk")
    fields: ClassVar = (
        "scope",
        SUBJECT,
        "source",
        "period",
        LIMIT,
        GAUGE,
        column("spent", lambda budget: _stands(budget).spent_usd, _money),
        column("held for calls under way", lambda budget: _stands(budget).reserved_usd, _money),
        column("left", lambda budget: _stands(budget).remaining_usd, _money),
        column("begins anew (UTC)", lambda budget: _stands(budget).resets_at, display.exact),
        KIND,
        column("told at", lambda b: [f"{t} %" for t in b.alert_thresholds], display.words),
        exact_time("created_at"),
        exact_time("updated_at"),
        "whole_id",
        "api_link",
    )
    actions_list: ClassVar = ("create_budget",)
    actions_detail: ClassVar = ("change_budget", "remove_budget")

    def read_along(self, request: HttpRequest, rows: Sequence[Any]) -> None:
        """How they stand, and what their agents and tasks are called: two queries."""
        wanted = {
            scope.value: {row.subject_id for row in rows if row.scope == scope and row.subject_id}
            for scope in NAMED
        }
        names = names_of(request, wanted)
        for stands in _ask(rows) if rows else ():
            stands.budget.stands = stands  # type: ignore[attr-defined]  # read by `_stands`
            stands.budget.names = names  # type: ignore[attr-defined]  # read by `_subject`

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """The list, below what each of the last days cost."""
        organization_id: UUID = request.user.organization_id  # type: ignore[union-attr]  # logged in
        days = reports.daily(organization_id=organization_id, days=CHART_DAYS, now=clock.now())
        chart: Mapping[str, Any] = {
            "bars": _bars(days),
            "total": sum(day.sums.cost for day in days),
            "dearest": max(day.sums.cost for day in days),
            "unpriced": sum(day.sums.unpriced_calls for day in days),
        }
        return super().changelist_view(request, {**(extra_context or {}), "chart": chart})

    @list_form_button("New budget", BudgetForm, icon="add")
    def create_budget(self, request: HttpRequest, **values: Any) -> None:
        """Make one."""
        operations.create_budget(**values, **self._who(request))

    @form_button("Change", BudgetLimits, icon="tune", available=_is_own)
    def change_budget(self, request: HttpRequest, budget: Budget, **values: Any) -> None:
        """Give it other limits."""
        operations.change_budget(budget_id=budget.pk, values=values, **self._who(request))

    @confirmed(
        "Remove",
        "It counts no more, and is kept.",
        available=lambda budget: budget.is_active and _is_own(budget),
    )
    def remove_budget(self, request: HttpRequest, budget: Budget) -> None:
        """Let it count no more."""
        self.attempt(request, operations.remove_budget, budget_id=budget.pk, **self._who(request))

    def _who(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "organization_id": request.user.organization_id,  # type: ignore[union-attr]  # logged in
            "actor": self.actor(request),
            "now": clock.now(),
        }
