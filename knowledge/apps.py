"""Registration of the knowledge app."""

from django.apps import AppConfig


class KnowledgeConfig(AppConfig):
    """What an organization knows, cut into passages that can be found and cited."""

    name = "knowledge"
