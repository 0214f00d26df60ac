# Stands at tasks/operations.py
from django.apps import apps

from agents.models import Agent

apps.get_model("agents", "Agent")  # refused
Agent.objects.get(pk=1)
