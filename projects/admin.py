"""Console pages of projects and environments."""

from functools import partial
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from kernel import clock
from kernel.admin import ConsoleAdmin, ConsoleInline, confirmed
from kernel.admin_columns import column, exact_time, status_column, time_column
from kernel.admin_forms import SELECT, DialogForm, form_button, list_form_button, text
from projects import operations
from projects.choices import EnvironmentType, ProjectStatus
from projects.models import Environment, Project


class ProjectForm(DialogForm):
    """A new project."""

    named: ClassVar = {"project.name_taken": "name"}

    name = text("Name")


class EnvironmentForm(DialogForm):
    """A new environment of the page's project."""

    named: ClassVar = {"environment.name_taken": "name"}

    name = text("Name")
    type = forms.ChoiceField(
        label="Type",
        choices=EnvironmentType.choices,
        initial=EnvironmentType.OTHER,
        widget=SELECT(),
    )


class EnvironmentInline(ConsoleInline):
    """The environments of a project."""

    model = Environment
    verbose_name_plural = "environments"
    fields = readonly_fields = ("name", "type", time_column("created_at", "created"))
    ordering = ("-created_at", "-pk")
    per_page = 50
    hide_title = True


@admin.register(Project)
class ProjectAdmin(ConsoleAdmin):
    """What the organization works on."""

    view_permission = "tenancy.read"
    audited_as = ("project", "name")
    edit_permission = "tenancy.edit"
    api_path = "/api/v1/projects"
    list_display: ClassVar = (
        "name",
        status_column(),
        time_column("created_at", "created"),
        "short_id",
    )
    list_filter: ClassVar = ("status",)
    search_fields: ClassVar = ("name",)
    fields: ClassVar = (
        "name",
        status_column(),
        "owner_team_id",
        exact_time("created_at"),
        exact_time("updated_at"),
        "whole_id",
        "api_link",
    )
    inlines: ClassVar = (EnvironmentInline,)
    actions_list: ClassVar = ("create_project",)
    actions_detail: ClassVar = ("add_environment", "archive_project", "activate_project")

    @list_form_button("New project", ProjectForm, icon="add")
    def create_project(self, request: HttpRequest, name: str) -> None:
        """Make one."""
        operations.create_project(name=name, **self._who(request))

    @form_button(
        "Add environment",
        EnvironmentForm,
        icon="add",
        available=lambda project: not project.is_archived,
    )
    def add_environment(self, request: HttpRequest, project: Project, **values: Any) -> None:
        """Add one to the project."""
        operations.create_environment(project_id=project.pk, **values, **self._who(request))

    @confirmed(
        "Archive project",
        "It takes no new environments until it is active again.",
        available=lambda project: not project.is_archived,
    )
    def archive_project(self, request: HttpRequest, project: Project) -> None:
        """Archive it."""
        self._set(request, project, ProjectStatus.ARCHIVED)

    @confirmed(
        "Activate project",
        "It takes environments again.",
        available=lambda project: project.is_archived,
    )
    def activate_project(self, request: HttpRequest, project: Project) -> None:
        """Take it up again."""
        self._set(request, project, ProjectStatus.ACTIVE)

    def _set(self, request: HttpRequest, project: Project, status: ProjectStatus) -> None:
        change = partial(operations.set_status, project_id=project.pk, status=status)
        self.attempt(request, change, **self._who(request))

    def _who(self, request: HttpRequest) -> dict[str, Any]:
        return {**_organization(request), "actor": self.actor(request), "now": clock.now()}


@admin.register(Environment)
class EnvironmentAdmin(ConsoleAdmin):
    """Where projects run."""

    view_permission = "tenancy.read"
    audited_as = ("environment", "name")
    edit_permission = "tenancy.edit"
    linked_filters: ClassVar = ("project",)
    list_display: ClassVar = (
        "name",
        "project",
        "type",
        time_column("created_at", "created"),
        "short_id",
    )
    list_select_related: ClassVar = ("project",)
    list_filter: ClassVar = ("type",)
    search_fields: ClassVar = ("name", "project__name")
    fields: ClassVar = (
        "name",
        "project",
        column("type", lambda environment: environment.get_type_display()),
        exact_time("created_at"),
        "whole_id",
    )
    actions: ClassVar = ("delete_environments",)
    actions_detail: ClassVar = ("delete_environment",)

    def back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To its page, as long as there is one."""
        is_there = self.get_object(request, object_id) is not None
        return super().back(request, object_id) if is_there else self.back_to_list(request)

    @admin.action(description="Delete selected environments", permissions=["edit"])
    def delete_environments(self, request: HttpRequest, queryset: QuerySet[Environment]) -> None:
        """Remove them for good."""
        for environment in queryset:
            self._delete(request, environment)

    @confirmed("Delete environment", "It is removed for good; its name is free again.")
    def delete_environment(self, request: HttpRequest, environment: Environment) -> None:
        """Remove it for good."""
        self._delete(request, environment)

    def _delete(self, request: HttpRequest, environment: Environment) -> None:
        self.attempt(
            request,
            operations.delete_environment,
            **_organization(request),
            environment_id=environment.pk,
            actor=self.actor(request),
            now=clock.now(),
        )


def _organization(request: HttpRequest) -> dict[str, UUID]:
    return {"organization_id": request.user.organization_id}  # type: ignore[union-attr]  # logged in
