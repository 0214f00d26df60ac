"""Sources, the catalogue they fill, policies, and the calls of tools."""
