"""Registration of the composition root."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from hub.catalogue import FORETOLD, SETTINGS
from hub.celery import app
from kernel import jobs, permissions
from preferences import choices as preferences


class HubConfig(AppConfig):
    """Joins the apps: every process knows every job, and the scheduler every period."""

    name = "hub"

    def ready(self) -> None:
        """Register the jobs of all apps, in the web process too: it enqueues them by name."""
        permissions.register(*FORETOLD)
        preferences.register(*SETTINGS)
        autodiscover_modules("tasks")
        app.conf.task_routes = jobs.routes()
        app.conf.beat_schedule = jobs.schedule()
