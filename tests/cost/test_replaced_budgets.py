"""A budget that takes the place of another one while calls are under way."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from accounts.models import Organization
from audit.models import AuditEvent
from cost.errors import BudgetExhausted, BudgetExists
from cost.models import Budget, BudgetWindow
from cost.operations import budgets
from kernel.actors import SYSTEM
from tests.cost.factories import NOW, Call, make_budget, window
from tests.threads import race

COST = Decimal("0.0035")


def put(organization: Organization, *thresholds: int) -> Budget:
    """The same limit with other thresholds."""
    return budgets.set_monthly_budget(
        organization_id=organization.pk,
        monthly_limit=Decimal("0.0040"),
        alert_thresholds=thresholds,
        is_hard=True,
        actor=SYSTEM,
        now=NOW,
    )


def make_anew(organization: Organization, *thresholds: int) -> Budget:
    """Without the one, then with another."""
    former = Budget.objects.get(is_active=True)
    budgets.remove_budget(
        organization_id=organization.pk, budget_id=former.pk, actor=SYSTEM, now=NOW
    )
    return make_budget(organization, "0.0040", alert_thresholds=list(thresholds))


@pytest.mark.parametrize("replace", [put, make_anew])
def test_what_calls_hold_is_held_in_the_next_budget_too(
    organization: Organization, replace: Callable[..., Budget]
) -> None:
    make_budget(organization, "0.0040")
    first = Call(organization.pk)
    first.reserve()

    made = replace(organization, 50, 60)

    with pytest.raises(BudgetExhausted):
        Call(organization.pk).reserve()
    assert window(budget_id=made.pk) == (0, COST)
    first.book()
    assert window(budget_id=made.pk) == (COST, 0)
    assert not BudgetWindow.objects.exclude(reserved_usd=0).exists()


def test_a_threshold_is_told_once_whatever_replaces_the_budget(organization: Organization) -> None:
    put(organization, 50)
    first = Call(organization.pk, input_tokens=800, output_tokens=0)
    first.reserve()
    first.book()
    for thresholds in ((50, 99), (50, 98), (50, 97)):
        call = Call(organization.pk, input_tokens=200, output_tokens=0)
        call.reserve()
        call.book()
        put(organization, *thresholds)

    told = AuditEvent.objects.filter(action="budget.alert").values_list("details", flat=True)
    assert [each["threshold"] for each in told] == [50]


@pytest.mark.django_db(transaction=True)
def test_calls_beside_who_replaces_the_budget_never_spend_more(organization: Organization) -> None:
    make_budget(organization, "0.0200")

    def ask() -> int:
        call = Call(organization.pk)
        try:
            call.reserve()
        except BudgetExhausted:
            return 0
        call.book()
        return 1

    def change(number: int) -> None:
        budgets.set_monthly_budget(
            organization_id=organization.pk,
            monthly_limit=Decimal("0.0200"),
            alert_thresholds=[number],
            is_hard=True,
            actor=SYSTEM,
            now=NOW,
        )

    outcomes = race(*[lambda n=n: change(n) if n % 4 == 0 else ask() for n in range(4, 20)])

    # Of two who set it at once, one is told so.
    failed = {type(found) for found in outcomes if isinstance(found, Exception)}
    assert failed <= {BudgetExists}
    spent, reserved = window(budget_id=Budget.objects.get(is_active=True).pk)
    assert (spent <= Decimal("0.0200"), reserved) == (True, 0)
    assert spent == COST * sum(found for found in outcomes if isinstance(found, int)) > 0
