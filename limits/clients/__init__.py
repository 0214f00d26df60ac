"""Redis, where the calls of the last minute are."""
