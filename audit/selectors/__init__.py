"""Questions about the audit chain."""
