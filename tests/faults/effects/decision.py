"""A decision that stops where a test wants to kill it: before it is committed, or after."""

from datetime import datetime
from functools import partial
from typing import Final

from django.db import transaction

from approvals.models import Approval
from approvals.operations import decisions
from tests.faults.effects import holds

HOLD: Final = "hold-decision"
HELD: Final = "decision-held"


def install() -> None:
    """Come before all that follows from a decision: what rings for it waits, too."""
    decisions.DECIDED.insert(0, pause)


def pause(_approval: Approval, _now: datetime) -> None:
    """In the decision's transaction, or between its commit and the doorbell."""
    wait = partial(holds.wait, HOLD, HELD)
    when = holds.wish(HOLD)
    if when == "before":
        wait()
    if when == "after":
        transaction.on_commit(wait)
