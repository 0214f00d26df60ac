"""Routes of sso."""

from django.urls import re_path

from sso.views import OidcViewSet

urlpatterns = [
    re_path(r"^auth/oidc/start/?$", OidcViewSet.as_view({"post": "start"})),
    re_path(r"^auth/oidc/finish/?$", OidcViewSet.as_view({"post": "finish"})),
]
