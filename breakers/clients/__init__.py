"""Redis, where the breakers' states are."""
