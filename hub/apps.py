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
        """Register the jobs of all apps, in the web process too: it enqueues them by name.

        What the apps have to send goes through the mail servers that the hub knows.
        """
        permissions.register(*FORETOLD)
        preferences.register(*SETTINGS)
        autodiscover_modules("tasks")
        from approvals.operations import mails  # noqa: PLC0415 - models must be loaded first
        from hub import mail  # noqa: PLC0415 - the same

        mails.POST.append(mail.post)
        app.conf.task_routes = jobs.routes()
        app.conf.beat_schedule = jobs.schedule()
