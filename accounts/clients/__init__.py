"""Redis, seen from accounts: the stamps that say whether what was read still holds."""
