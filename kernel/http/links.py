"""Addresses in answers, each for those alone who may open what it leads to."""

from typing import Any

from django.http import HttpRequest
from django.urls import resolve
from rest_framework.request import Request


def may_open(request: HttpRequest | Request, path: str) -> bool:
    """Whether the caller may GET `path`, one of this hub's: of the API, by the permission that its
    view names for it, held everywhere; of the console, as its page says."""
    view: Any = resolve(path).func
    if hasattr(view, "model_admin"):  # as Django names the page of a view of the console
        return bool(view.model_admin.has_view_permission(request))
    permission: str = view.cls.permissions[view.actions["get"]]
    return bool(request.user.has_perm(permission))
