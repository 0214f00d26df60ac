"""Seed 004's refresh: all sources of tools at once."""

from datetime import datetime
from uuid import UUID

from django.db import transaction

from kernel.actors import Actor
from tools import selectors
from tools.operations import sources


@transaction.atomic
def refresh_tools(*, organization_id: UUID, actor: Actor, now: datetime) -> int:
    """Have every enabled source asked for its tools now; how many there are."""
    enabled = selectors.list_sources(organization_id=organization_id).filter(is_enabled=True)
    named = list(enabled.order_by("pk").values_list("pk", flat=True))  # as they are locked
    for source_id in named:
        sources.ask_again(
            organization_id=organization_id, source_id=source_id, actor=actor, now=now
        )
    return len(named)
