"""Questions about tasks, one subject a module."""
