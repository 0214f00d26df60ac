"""What is in the database, to show that a refusal left nothing behind."""

from typing import Any

from django.apps import apps

from hub.settings import LOCAL_APPS


def footprint() -> dict[str, list[Any]]:
    """Every row of every table of ours."""
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values())
        for app in LOCAL_APPS
        for model in apps.get_app_config(app).get_models()
    }
