"""Registration of the console as the admin site."""

from django.contrib.admin.apps import AdminConfig


class ConsoleConfig(AdminConfig):
    """Django's admin, served by `hub.console.site.ConsoleSite`."""

    default_site = "hub.console.site.ConsoleSite"
