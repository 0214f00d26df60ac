"""Console pages of accounts; Django imports this module alone."""

from accounts.admin import people

__all__ = ["people"]
