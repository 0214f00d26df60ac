"""Query parameters of budgets and prices."""

from django_filters import rest_framework as filters

from cost.choices import BudgetScope, BudgetSource


class BudgetFilter(filters.FilterSet):
    """Those of one source, scope or subject, and whether they count."""

    source = filters.ChoiceFilter(choices=BudgetSource.choices)
    scope = filters.ChoiceFilter(choices=BudgetScope.choices)
    subject_id = filters.UUIDFilter()
    is_active = filters.BooleanFilter()
