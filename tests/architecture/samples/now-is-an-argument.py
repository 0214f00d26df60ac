# Stands at tasks/operations.py
from django.db import models

from kernel import clock


def expire(*, now):
    return clock.now()  # refused


created_at = models.DateTimeField(default=clock.now)
