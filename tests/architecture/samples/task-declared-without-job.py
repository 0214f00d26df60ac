# Stands at tasks/tasks.py
from celery import shared_task  # refused

from kernel.jobs import job
