# Stands at tasks/views.py
from datetime import UTC, date, datetime

from django.db import models
from django.utils import timezone

from kernel import clock

timezone.now()  # refused
datetime.now(UTC)  # refused
date.today()  # refused
created_at = models.DateTimeField(default=timezone.now)  # refused
clock.now()
datetime(2026, 1, 1, tzinfo=UTC)
