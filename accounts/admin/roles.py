"""Console pages of roles and of who holds them."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final
from uuid import UUID

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from accounts.admin.steering import SteeringForm, giver, steer
from accounts.choices import SCOPE_KEYS
from accounts.models import Role, RoleAssignment, User
from accounts.operations import grants, roles
from accounts.selectors import roles as role_selectors
from kernel import display, permissions
from kernel.admin import AUDITED, ConsoleAdmin, names_of
from kernel.admin_columns import column, exact_time, time_column
from kernel.admin_forms import (
    CHECKBOXES,
    SELECT,
    TEXTS,
    DialogForm,
    form_button,
    list_form_button,
    text,
)

KEYS: Final = sorted(SCOPE_KEYS)


# Whose ids a scope can hold, as the audit trail calls them.
NAMED: Final = {"agent_id": "agent", "environment_id": "environment", "project_id": "project"}
MOST_OFFERED: Final = 200


def _scope(assignment: RoleAssignment) -> str:
    names: Mapping[tuple[str, str], str] = getattr(assignment, "names", {})
    said = []
    for key, value in sorted(assignment.scope.items()):
        name = names.get((NAMED.get(key, ""), value))
        said.append(f"{NAMED[key]} {name}" if name else f"{key} {value}")
    return ", ".join(said) or "everything"


class RoleForm(SteeringForm):
    """A role: its name, its description, and a box for each permission, by group."""

    named: ClassVar = {"permissions": "group_0", "role.name_taken": "name"}
    name = text("Name", length=100)
    description = text("Description", length=2000, required=False)

    def prepare(self) -> None:
        """One field for each group of the catalogue."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for key, permission in sorted(permissions.catalogue().items()):
            groups.setdefault(permission.group, []).append(
                (key, f"{key}: {permission.description}")
            )
        for number, (group, choices) in enumerate(sorted(groups.items())):
            self.fields[f"group_{number}"] = forms.MultipleChoiceField(
                label=group, choices=choices, required=False, widget=CHECKBOXES()
            )
        role = _role(self)
        if role is None:
            return
        ticked: Any = dict.fromkeys(filter(_is_group, self.fields), role.permissions)
        self.initial = {"name": role.name, "description": role.description, **ticked}
        self.fields["name"].disabled = role.is_system

    def values(self) -> dict[str, Any]:
        """`name`, `description` and `permissions`."""
        found = super().values()
        groups = [found.pop(name) for name in filter(_is_group, list(found))]
        return {**found, "permissions": sorted({key for keys in groups for key in keys})}


class GrantForm(SteeringForm):
    """Who gets which role, for what: without a scope for everything."""

    named: ClassVar = {"user_id": "email", "role_id": "role"}
    email = text("E-mail of the person", length=254)
    role = forms.ChoiceField(label="Role", widget=SELECT())
    scope = forms.CharField(
        label="Only for",
        required=False,
        max_length=2000,
        widget=TEXTS(attrs={"rows": 3, "placeholder": "environment = staging"}),
        help_text=f"One `key = value` a line; empty: everything. Keys: {', '.join(KEYS)}.",
    )

    def prepare(self) -> None:
        """The organization's roles, and its projects for whoever may see them."""
        rows = role_selectors.list_roles(organization_id=giver(self.request).organization_id)
        field: Any = self.fields["role"]
        # None is chosen: the first one may do everything.
        field.choices = [("", "Choose a role"), *((str(role.pk), role.name) for role in rows)]
        self._offer_projects()

    def clean_email(self) -> User:
        """The person; a stranger's address is answered like one that nobody has."""
        organization_id = giver(self.request).organization_id
        email = self.cleaned_data["email"]
        user = User.objects.filter(organization_id=organization_id, email=email).first()
        if user is None:
            raise forms.ValidationError("Nobody here has this e-mail address.")
        return user

    def clean_scope(self) -> dict[str, str]:
        """The lines as a mapping."""
        found: dict[str, str] = {}
        for line in filter(None, map(str.strip, self.cleaned_data["scope"].splitlines())):
            key, sign, value = (part.strip() for part in line.partition("="))
            if not sign or key in found:
                raise forms.ValidationError("Write each key once, as `key = value`.")
            found[key] = value
        if "project_id" in found and self.data.get("project"):
            raise forms.ValidationError("Choose the project, or write its id, not both.")
        return found

    def values(self) -> dict[str, Any]:
        """`user_id`, `role_id` and `scope`."""
        found = super().values()
        project = {"project_id": found["project"]} if found.get("project") else {}
        scope = {**found["scope"], **project}
        return {"user_id": found["email"].pk, "role_id": found["role"], "scope": scope}

    def _offer_projects(self) -> None:
        """By name: nobody types an id gladly."""
        page = AUDITED.get("project")
        if page is None or not page.has_view_permission(self.request):
            return
        rows: Any = page.get_queryset(self.request).order_by("name")
        found = [(str(row.pk), row.name) for row in rows[:MOST_OFFERED]]
        if found:
            self.fields["project"] = forms.ChoiceField(
                label="Only for the project",
                choices=[("", "Every project"), *found],
                required=False,
                widget=SELECT(),
            )
            self.order_fields(["email", "role", "project", "scope"])


@admin.register(Role)
class RoleAdmin(ConsoleAdmin):
    """What each role permits."""

    view_permission = "role.read"
    audited_as = ("role", "name")
    edit_permission = "role.edit"
    api_path = "/api/v1/roles"
    list_display: ClassVar = (
        "name",
        "description",
        column("permissions", lambda role: len(role.permissions)),
        "is_system",
        time_column("updated_at", "changed"),
        "short_id",
    )
    list_filter: ClassVar = ("is_system",)
    search_fields: ClassVar = ("name",)
    fields: ClassVar = (
        "name",
        "description",
        "is_system",
        column("permissions", lambda role: role.permissions, display.words),
        exact_time("created_at"),
        exact_time("updated_at"),
        "whole_id",
        "api_link",
    )
    actions_list: ClassVar = ("create_role",)
    actions_detail: ClassVar = ("edit_role", "delete_role")

    def back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To its page, as long as there is one."""
        is_there = self.get_object(request, object_id) is not None
        return super().back(request, object_id) if is_there else self.back_to_list(request)

    @list_form_button("New role", RoleForm, icon="add")
    def create_role(self, request: HttpRequest, **values: Any) -> None:
        """Make one."""
        steer(self, request, roles.create_role, giver=giver(request), **values)

    @form_button("Edit role", RoleForm, icon="edit")
    def edit_role(self, request: HttpRequest, role: Role, **values: Any) -> None:
        """Change it."""
        steer(
            self,
            request,
            roles.update_role,
            role_id=role.pk,
            values=values,
            giver=giver(request),
        )

    @form_button(
        "Delete role",
        SteeringForm,
        question="Whoever holds it holds it no more.",
        available=lambda role: not role.is_system,
    )
    def delete_role(self, request: HttpRequest, role: Role) -> None:
        """Delete it."""
        steer(self, request, roles.delete_role, role_id=role.pk, giver=giver(request))


@admin.register(RoleAssignment)
class RoleAssignmentAdmin(ConsoleAdmin):
    """Who holds which role, for what."""

    view_permission = "role.read"
    audited_as = ("user_role", "role__name")
    edit_permission = "user_role.edit"
    page_title = "Role assignments"
    api_path = "/api/v1/user-roles"
    linked_filters: ClassVar = ("user", "role")
    list_display: ClassVar = (
        "user",
        "role",
        column("for", _scope),
        "granted_by",
        time_column("created_at", "given"),
        "short_id",
    )
    list_select_related: ClassVar = ("user", "role", "granted_by")
    search_fields: ClassVar = ("user__email", "role__name")
    fields: ClassVar = (
        "user",
        "role",
        column("for", _scope),
        "granted_by",
        exact_time("created_at"),
        "whole_id",
        "api_link",
    )
    actions_list: ClassVar = ("grant_role",)
    actions_detail: ClassVar = ("withdraw_role",)

    def back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To its page, as long as there is one."""
        is_there = self.get_object(request, object_id) is not None
        return super().back(request, object_id) if is_there else self.back_to_list(request)

    def read_along(self, request: HttpRequest, rows: Sequence[RoleAssignment]) -> None:
        """What is called how of that for which roles are held."""
        wanted: dict[str, set[UUID]] = {}
        for row in rows:
            for key in NAMED.keys() & row.scope.keys():
                with suppress(ValueError):
                    wanted.setdefault(NAMED[key], set()).add(UUID(row.scope[key]))
        names = names_of(request, wanted)
        for row in rows:
            row.names = names  # type: ignore[attr-defined]  # for `_scope`

    @list_form_button("Grant role", GrantForm, icon="add")
    def grant_role(self, request: HttpRequest, **values: Any) -> None:
        """Let a person hold a role."""
        steer(self, request, grants.grant_role, giver=giver(request), **values)

    @form_button(
        "Withdraw role",
        SteeringForm,
        question="The person loses what it permits with the next request.",
    )
    def withdraw_role(self, request: HttpRequest, assignment: RoleAssignment) -> None:
        """Take it back."""
        steer(
            self,
            request,
            grants.withdraw_role,
            assignment_id=assignment.pk,
            giver=giver(request),
        )


def _is_group(field: str) -> bool:
    return field.startswith("group_")


def _role(form: DialogForm) -> Role | None:
    with suppress(ValueError):
        organization_id = giver(form.request).organization_id
        pk = UUID(str(form.object_id))
        return Role.objects.filter(organization_id=organization_id, pk=pk).first()
    return None
