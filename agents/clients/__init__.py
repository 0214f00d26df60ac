"""Redis, seen from agents: the stamps that say whether what was read still holds."""
