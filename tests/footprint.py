"""What is in the database, to show that a refusal left nothing behind."""

from typing import Any

from django.apps import apps

from audit.choices import AuditStatus
from audit.models import AuditEvent
from hub.settings import LOCAL_APPS


def footprint() -> dict[str, list[Any]]:
    """Every row of every table of ours, but for the trace that a refusal itself leaves."""
    found = {
        model._meta.label: list(model._default_manager.order_by("pk").values())
        for app in LOCAL_APPS
        for model in apps.get_app_config(app).get_models()
    }
    trail = AuditEvent._meta.label
    done = [row for row in found[trail] if row["status"] == AuditStatus.SUCCESS]
    return {**found, trail: done}
