"""The operator console: Django's admin, with the hub's front page."""
