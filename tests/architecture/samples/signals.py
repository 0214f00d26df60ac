# Stands at tasks/apps.py
import django.dispatch  # refused
from celery.signals import worker_ready
from django.db.models import signals  # refused
from django.db.models.signals import post_save  # refused
from django.dispatch import receiver  # refused
