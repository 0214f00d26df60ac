"""Questions about the outbox."""

from events.models import OutboxEvent, OutboxHead


def get_last_sequence() -> int:
    """The sequence of the newest event that the relay has numbered; 0 before the first."""
    head = OutboxHead.objects.filter(pk=OutboxHead.ONLY).first()
    return head.sequence if head else 0


def list_since(*, sequence: int, limit: int) -> list[OutboxEvent]:
    """Up to `limit` numbered events after `sequence`, of all organizations, in order.

    For processes that deliver; each of them checks the organization of every reader.
    """
    return list(OutboxEvent.objects.filter(sequence__gt=sequence).order_by("sequence")[:limit])
