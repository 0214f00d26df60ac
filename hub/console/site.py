"""The console's site object."""

from django.http import HttpRequest
from unfold.sites import UnfoldAdminSite


class ConsoleSite(UnfoldAdminSite):
    """Opens for every active user; what a page allows is decided by named permissions."""

    def has_permission(self, request: HttpRequest) -> bool:
        """Whether the caller may look at the console at all."""
        return request.user.is_active
