"""The loop that runs one agent: no Django, no database; everything it needs is an argument."""
