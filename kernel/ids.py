"""Identifiers."""

from uuid import UUID

from uuid_utils import compat


def new() -> UUID:
    """A UUIDv7: unique, and ordered by creation so that index pages fill from one end."""
    return compat.uuid7()
