"""The identity provider, seen from the hub."""
