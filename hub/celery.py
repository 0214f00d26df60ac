"""The Celery application: broker, queues and the schedule the apps declare beside their jobs."""

import os
import sys

from celery import Celery
from kombu.transport import redis

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")


class Deliveries(redis.QoS):
    """What a worker has in hand. Messages only ring: one that is lost is a sweep's work.

    A message that came over a connection which has been lost since is let go. Kombu 5.7 would give
    it back or acknowledge it over that connection, and end the worker with an AttributeError.
    """

    restore_at_shutdown = False

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message, if the connection that brought it is still there."""
        if getattr(self.channel.connection, "client", None) is not None:
            super().ack(delivery_tag)


redis.Channel.QoS = Deliveries

app = Celery("hub")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Celery would open a connection for every job, seven milliseconds of each; `kernel.jobs` keeps them
# as Django does between requests.
app.conf.update({"CELERY_DB_REUSE_MAX": sys.maxsize})
app.autodiscover_tasks()
