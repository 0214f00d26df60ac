"""Vocabularies and limits of cost, and its permissions."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from django.db.models import TextChoices

from kernel.permissions import Permission

PERMISSIONS: Final = (Permission("cost.read", "Cost", "See what was spent.", reads=True),)


class BudgetScope(TextChoices):
    """Whose calls a budget counts. A run is one execution."""

    ORGANIZATION = "organization", "Organization"
    AGENT = "agent", "Agent"
    TASK = "task", "Task"
    RUN = "run", "Run"


class BudgetPeriod(TextChoices):
    """How long spending counts, in days and months of UTC."""

    MONTH = "month", "Month"
    DAY = "day", "Day"
    TOTAL = "total", "Total"


class BudgetSource(TextChoices):
    """Who says how much: somebody who set the budget, or the version that an agent has now."""

    PERSON = "person", "Set here"
    VERSION = "version", "Agent's version"


DEMO: Final = "demo"
# What a call cost whose answer nobody got, although the provider may bill it: all that was held.
ESTIMATED_SOURCE: Final = "estimated"
OWN_SOURCE: Final = "organization"
# An answer came without figures: what was reserved counts, the most that it can have cost.
UNMEASURED_SOURCE: Final = "unmeasured"
MONEY_DIGITS: Final = 18
MONEY_PLACES: Final = 8
# The precision of every column of money: a hundred-millionth of a dollar.
CENT: Final = Decimal("0.00000001")
FREE: Final = Decimal(0)
DEFAULT_THRESHOLDS: Final = (80, 90, 100)
MOST_THRESHOLDS: Final = 10
MOST_DAYS: Final = 366
# Between these lies whatever has no period.
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
NEVER: Final = datetime(9999, 12, 31, tzinfo=UTC)
# `gpt-4o`, `llama*`: `*` stands for anything.
MODEL_PATTERN: Final = r"[A-Za-z0-9._:/@+*-]{1,255}"
PROVIDER: Final = r"[a-z0-9][a-z0-9._-]{0,63}"
