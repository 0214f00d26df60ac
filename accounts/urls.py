"""Routes of accounts."""

from django.urls import re_path

from accounts.views.auth import ProfileViewSet, PublicAuthViewSet

urlpatterns = [
    re_path(r"^auth/login/?$", PublicAuthViewSet.as_view({"post": "login"})),
    re_path(r"^auth/refresh/?$", PublicAuthViewSet.as_view({"post": "refresh"})),
    re_path(r"^auth/me/?$", ProfileViewSet.as_view({"get": "retrieve", "put": "update"})),
    re_path(r"^auth/logout/?$", ProfileViewSet.as_view({"post": "logout"})),
]
