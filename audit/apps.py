"""Registration of the audit app."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """Hash-chained record of who did what."""

    name = "audit"
