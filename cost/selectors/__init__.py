"""Questions about cost, by what they are about."""
