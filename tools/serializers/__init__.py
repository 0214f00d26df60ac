"""Wire shapes of tools."""
