"""Every route of the hub."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from accounts import urls as accounts
from agents import urls as agents
from hub import health
from hub.console import single_sign_on
from hub.health_view import HealthViewSet
from runs import urls as runs
from tools import urls as tools

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("admin", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("sso/callback", single_sign_on.finish, name="sso_callback"),
    path("sso/<slug:organization>/login", single_sign_on.begin, name="sso_login"),
    path("favicon.ico", RedirectView.as_view(url=static("hub/favicon.svg"))),
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("ready", health.ready),
    path("health", health.health),
    path("metrics", health.metrics),
    re_path(r"^api/schema/?$", SpectacularAPIView.as_view(), name="schema"),
    path("api/schema/swagger/", SpectacularSwaggerView.as_view(url_name="schema"), name="swagger"),
    re_path(r"^api/v1/settings/health/?$", HealthViewSet.as_view({"get": "retrieve"})),
    path("api/v1/", include("preferences.urls")),
    path("api/v1/", include("audit.urls")),
    path("", include(accounts.root_urlpatterns)),
    path("", include(agents.root_urlpatterns)),
    path("api/v1/", include("accounts.urls")),
    path("api/v1/", include("agents.urls")),
    path("api/v1/", include("tasks.urls")),
    path("api/v1/", include("knowledge.urls")),
    path("api/v1/", include("projects.urls")),
    path("api/v1/", include("breakers.urls")),
    path("api/v1/", include("cost.urls")),
    path("api/v1/", include("limits.urls")),
    path("api/v1/", include("secrets_vault.urls")),
    path("api/v1/", include("approvals.urls")),
    path("api/v1/", include("tools.urls")),
    path("", include(tools.root_urlpatterns)),
    path("api/v1/", include("memory.urls")),
    path("api/v1/", include("dead_letters.urls")),
    path("api/v1/", include("runs.urls")),
    path("", include(runs.root_urlpatterns)),
    path("api/v1/", include("sso.urls")),
]
handler400 = "hub.console.refusals.bad_request"
handler403 = "hub.console.refusals.forbidden"
handler404 = "hub.console.refusals.not_found"
handler500 = "hub.console.refusals.failed"
