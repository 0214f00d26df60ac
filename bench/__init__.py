"""How fast the hub is, beside peers that are measured in the same run."""
