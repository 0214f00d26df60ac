"""Registration of the approvals app."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    """Approvals: rules, requests, votes."""

    name = "approvals"
