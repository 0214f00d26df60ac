"""Query parameters of environments and projects."""

from django_filters import rest_framework as filters

from projects.choices import ProjectStatus


class EnvironmentFilter(filters.FilterSet):
    """Those of one project."""

    project_id = filters.UUIDFilter()


class ProjectFilter(filters.FilterSet):
    """Those of one status."""

    status = filters.ChoiceFilter(choices=ProjectStatus.choices)
