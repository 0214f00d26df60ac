"""Composition root: settings, routes, processes. Imports every app; no app imports it."""

from hub.celery import app as celery_app

__all__ = ["celery_app"]
