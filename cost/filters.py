"""Query parameters of budgets and prices."""

from django_filters import rest_framework as filters

from cost.choices import BudgetScope


class BudgetFilter(filters.FilterSet):
    """Those of one scope or subject, and whether they count."""

    scope = filters.ChoiceFilter(choices=BudgetScope.choices)
    subject_id = filters.UUIDFilter()
    is_active = filters.BooleanFilter()
