"""The models of cost."""

from cost.models.budgets import Budget, BudgetWindow, Reservation
from cost.models.ledger import UsageDay, UsageMark, UsageRecord
from cost.models.prices import ModelPrice

__all__ = [
    "Budget",
    "BudgetWindow",
    "ModelPrice",
    "Reservation",
    "UsageDay",
    "UsageMark",
    "UsageRecord",
]
