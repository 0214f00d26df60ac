"""Console pages of accounts; Django imports this module alone."""

from accounts.admin import keys, people, roles, sessions

__all__ = ["keys", "people", "roles", "sessions"]
