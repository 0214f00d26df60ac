"""Query parameters of the lists of people, of who holds which role, and of sessions."""

from typing import Any

from django.db.models import Q, QuerySet
from django_filters import rest_framework as filters

from accounts.models import RoleAssignment, Session, User


class PersonFilter(filters.FilterSet):
    """`?email=&role=&is_active=&search=`; a role counts if it is held everywhere."""

    email = filters.CharFilter(lookup_expr="iexact", max_length=254)
    role = filters.CharFilter(method="by_role", max_length=100)
    is_active = filters.BooleanFilter()
    search = filters.CharFilter(method="by_words", max_length=100)

    class Meta:
        model = User
        fields: list[str] = []

    def by_role(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """Who holds the role of this name."""
        held = RoleAssignment.objects.filter(scope={}, role__name__iexact=value)
        return rows.filter(pk__in=held.values("user_id"))

    def by_words(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """A part of the e-mail or the name."""
        return rows.filter(Q(email__icontains=value) | Q(full_name__icontains=value))


class UserRoleFilter(filters.FilterSet):
    """`?user_id=&role_id=`."""

    user_id = filters.UUIDFilter(field_name="user_id")
    role_id = filters.UUIDFilter(field_name="role_id")

    class Meta:
        model = RoleAssignment
        fields: list[str] = []


class SessionFilter(filters.FilterSet):
    """`?user_id=`: where one person is logged in."""

    user_id = filters.UUIDFilter(field_name="user_id")

    class Meta:
        model = Session
        fields: list[str] = []
