"""Routes of preferences."""

from django.urls import re_path

from preferences.views import SettingsViewSet

urlpatterns = [
    re_path(r"^settings/?$", SettingsViewSet.as_view({"get": "retrieve"})),
    re_path(r"^settings/bulk/?$", SettingsViewSet.as_view({"put": "bulk_update"})),
    re_path(
        r"^settings/(?P<category>[^/]+)/(?P<key>[^/]+)/?$",
        SettingsViewSet.as_view({"put": "update"}),
    ),
]
