"""One thing that holds a task, or what it does."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from tasks.choices import ReasonCode


@dataclass(frozen=True, slots=True)
class Reason:
    """`kind` and `id` name where to look; for `price` that is the list of prices."""

    code: ReasonCode
    message: str
    kind: Literal[
        "agent", "approval", "breaker", "budget", "execution", "limit", "override", "price", "task"
    ]
    id: UUID
    since: datetime | None = None
    until: datetime | None = None
