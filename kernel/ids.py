"""Identifiers."""

from datetime import UTC, datetime
from uuid import UUID

from uuid_utils import compat


def new() -> UUID:
    """A UUIDv7: unique, and ordered by creation so that index pages fill from one end."""
    return compat.uuid7()


def made_at(made: UUID) -> datetime:
    """When `new` made it, to the millisecond (RFC 9562, section 5.7)."""
    return datetime.fromtimestamp((made.int >> 80) / 1000, tz=UTC)
