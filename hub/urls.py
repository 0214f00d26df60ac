"""Every route of the hub."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from django_prometheus.exports import ExportToDjangoView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from hub import health

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("favicon.ico", RedirectView.as_view(url=static("hub/favicon.svg"))),
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("health", health.health),
    path("metrics", ExportToDjangoView),
    re_path(r"^api/schema/?$", SpectacularAPIView.as_view(), name="schema"),
    path("api/schema/swagger/", SpectacularSwaggerView.as_view(url_name="schema"), name="swagger"),
    path("api/v1/", include("accounts.urls")),
    path("api/v1/", include("agents.urls")),
    path("api/v1/", include("tasks.urls")),
    path("api/v1/", include("knowledge.urls")),
]
handler400 = "kernel.http.middleware.bad_request"
handler404 = "kernel.http.middleware.not_found"
handler500 = "kernel.http.middleware.failed"
