"""Routes of accounts."""

from django.urls import re_path

from accounts.views.api_keys import ApiKeyViewSet
from accounts.views.auth import ProfileViewSet, PublicAuthViewSet
from accounts.views.mfa import MfaViewSet
from accounts.views.people import PersonViewSet
from accounts.views.roles import (
    PermissionViewSet,
    RolesOfUserViewSet,
    RoleViewSet,
    UserRoleViewSet,
)
from accounts.views.security import IpRuleViewSet, SecurityViewSet
from accounts.views.security_sessions import OwnSessionViewSet, SecuritySessionViewSet
from accounts.views.session_routes import CurrentUserViewSet, GivenPermissionViewSet
from kernel.http.routers import HubRouter

router = HubRouter()
router.register("permissions", PermissionViewSet, basename="permission")
router.register("roles", RoleViewSet, basename="role")
router.register("user-roles", UserRoleViewSet, basename="user-role")
router.register("users", RolesOfUserViewSet, basename="user")
router.register("admin/users", PersonViewSet, basename="admin-user")
router.register("auth/sessions", OwnSessionViewSet, basename="own-session")
router.register("security/sessions", SecuritySessionViewSet, basename="session")
router.register("security/api-keys", ApiKeyViewSet, basename="api-key")
urlpatterns = [
    *router.urls,
    re_path(r"^auth/login/?$", PublicAuthViewSet.as_view({"post": "login"})),
    re_path(r"^auth/refresh/?$", PublicAuthViewSet.as_view({"post": "refresh"})),
    re_path(r"^auth/verify-mfa/?$", PublicAuthViewSet.as_view({"post": "verify_mfa"})),
    re_path(r"^auth/register/?$", PublicAuthViewSet.as_view({"post": "register"})),
    re_path(r"^auth/me/?$", ProfileViewSet.as_view({"get": "retrieve", "put": "update"})),
    re_path(r"^auth/logout/?$", ProfileViewSet.as_view({"post": "logout"})),
    re_path(r"^auth/change-password/?$", ProfileViewSet.as_view({"post": "change_password"})),
    re_path(r"^auth/mfa/setup/?$", MfaViewSet.as_view({"post": "begin"})),
    re_path(r"^auth/mfa/verify/?$", MfaViewSet.as_view({"post": "verify"})),
    re_path(r"^auth/mfa/disable/?$", MfaViewSet.as_view({"post": "disable"})),
    re_path(r"^auth/mfa/backup-codes/?$", MfaViewSet.as_view({"post": "renew_backup_codes"})),
    re_path(r"^auth/step-up/?$", MfaViewSet.as_view({"post": "freshen"})),
    re_path(r"^security/?$", SecurityViewSet.as_view({"get": "retrieve", "put": "update"})),
    re_path(
        r"^security/password-policy/?$",
        SecurityViewSet.as_view({"get": "retrieve_passwords", "put": "update_passwords"}),
    ),
    re_path(r"^security/ip-rules/?$", IpRuleViewSet.as_view({"get": "list", "put": "replace"})),
]
# At the root, not under `/api/v1`: seed 004's.
root_urlpatterns = [
    re_path(r"^currentuser/?$", CurrentUserViewSet.as_view({"get": "retrieve"})),
    re_path(r"^permissions/?$", GivenPermissionViewSet.as_view({"get": "list"})),
    re_path(
        r"^permissions/(?P<permissionName>[^/]+)/?$",
        GivenPermissionViewSet.as_view({"get": "check_scope"}),
    ),
]
