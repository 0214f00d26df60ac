"""Storing, rotating, deleting and using secrets."""
