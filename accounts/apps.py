"""Registration of the accounts app."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Organizations, people, their sessions and what they may do."""

    name = "accounts"
