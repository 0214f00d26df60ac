"""Console pages of cost."""

from cost.admin import budgets, prices, usage

__all__ = ["budgets", "prices", "usage"]
