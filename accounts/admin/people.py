"""Console pages of accounts."""

from contextlib import suppress
from typing import Any, ClassVar, Final
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse

from accounts.admin.steering import SteeringForm, giver, steer
from accounts.choices import UserRole
from accounts.models import Organization, User
from accounts.operations import lockout, people, recovery
from accounts.selectors import people as people_selectors
from accounts.selectors import rights
from accounts.selectors import roles as role_selectors
from kernel import clock, display
from kernel.admin import ConsoleAdmin
from kernel.admin_columns import column, exact_time, time_column
from kernel.admin_forms import (
    EMAIL,
    PASSWORD,
    SELECT,
    form_button,
    list_form_button,
    shown_once,
    text,
)
from kernel.errors import DomainError

# What administrators do for others; for themselves there is the page Account.
FOR_OTHERS: Final = frozenset({"reset_password", "unlock_user", "reset_mfa", "disable_user"})


def _roles(user: User) -> str:
    scoped = len(user.rights.scoped)
    more = [f"{scoped} for a scope"] if scoped else []
    return ", ".join([*user.rights.roles, *more]) or "none"


def _is_locked(user: User) -> bool:
    now = clock.now()
    return lockout.is_locked(user=user, now=now) or lockout.is_confirm_locked(user=user, now=now)


FACTOR: Final = column("second factor", lambda user: "on" if user.has_mfa else "off")
LOCKED: Final = column(
    "locked", _is_locked, lambda locked: display.status("locked") if locked else display.NOTHING
)


class FactorFilter(admin.SimpleListFilter):
    """Whether logging in takes a second factor."""

    title = "second factor"
    parameter_name = "factor"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """As the column says it."""
        return [("on", "On"), ("off", "Off")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By the moment since when."""
        if self.value() not in {"on", "off"}:
            return queryset
        return queryset.filter(mfa_enabled_at__isnull=self.value() == "off")


class LockFilter(admin.SimpleListFilter):
    """Who guessed too often, at the login or inside."""

    title = "locked"
    parameter_name = "locked"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Both."""
        return [("yes", "Locked"), ("no", "Not locked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """As of now."""
        now = clock.now()
        locked = Q(locked_until__gt=now) | Q(confirm_locked_until__gt=now)
        # Not `exclude`: nothing is later than a null, nor not later.
        free = Q(locked_until=None) | Q(locked_until__lte=now)
        free &= Q(confirm_locked_until=None) | Q(confirm_locked_until__lte=now)
        return queryset.filter({"yes": locked, "no": free}.get(self.value() or "", Q()))


@admin.register(Organization)
class OrganizationAdmin(ConsoleAdmin):
    """The viewer's own organization."""

    view_permission = "user_role.edit"
    audited_as = ("organization", "name")
    list_display: ClassVar = (
        "name",
        "slug",
        "is_active",
        time_column("created_at", "created"),
        "short_id",
    )
    search_fields: ClassVar = ("name",)
    fields: ClassVar = (
        "name",
        "slug",
        "is_active",
        exact_time("created_at"),
        exact_time("updated_at"),
        "whole_id",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """One row: others are not the viewer's business."""
        organization_id = request.user.organization_id  # type: ignore[union-attr]
        return Organization.objects.filter(pk=organization_id)


class EditUserForm(SteeringForm):
    """A person's name and the role that they hold everywhere."""

    full_name = text("Name", required=False)
    role = forms.ChoiceField(label="Role", widget=SELECT())

    def prepare(self) -> None:
        """The organization's roles; of somebody who is there, what they are."""
        organization_id = giver(self.request).organization_id
        rows = role_selectors.list_roles(organization_id=organization_id)
        field: Any = self.fields["role"]
        field.choices = [(role.name, role.name) for role in rows]
        with suppress(ValueError, DomainError):
            user = people_selectors.get_user(
                organization_id=organization_id, user_id=UUID(str(self.object_id))
            )
            self.initial = {"full_name": user.full_name, "role": user.role}


class NewUserForm(EditUserForm):
    """A new person; their password is told them by whoever types it here."""

    named: ClassVar = {"user.email_taken": "email"}
    email = forms.EmailField(label="E-mail", max_length=254, widget=EMAIL())
    password = forms.CharField(
        label="First password",
        max_length=1024,
        strip=False,
        widget=PASSWORD(attrs={"autocomplete": "new-password"}),
    )
    field_order: ClassVar = ("email", "full_name", "password", "role")

    def prepare(self) -> None:
        """A viewer, unless it is changed."""
        super().prepare()
        self.initial = {"role": UserRole.VIEWER.value}


@admin.register(User)
class UserAdmin(ConsoleAdmin):
    """People of the organization."""

    view_permission = "user_role.edit"
    audited_as = ("user", "email")
    edit_permission = "user_role.edit"
    api_path = "/api/v1/admin/users"
    list_display: ClassVar = (
        "email",
        "full_name",
        "role",
        "is_active",
        FACTOR,
        LOCKED,
        time_column("last_login", "last login"),
        "short_id",
    )
    list_filter: ClassVar = ("is_active", FactorFilter, LockFilter)
    search_fields: ClassVar = ("email", "full_name")
    fields: ClassVar = (
        "email",
        "full_name",
        "role",
        "is_active",
        column("roles", _roles),
        FACTOR,
        column("locked for logins until (UTC)", lambda user: user.locked_until, display.exact),
        column(
            "locked for confirming (password, codes) until (UTC)",
            lambda user: user.confirm_locked_until,
            display.exact,
        ),
        exact_time("last_login"),
        exact_time("created_at"),
        exact_time("updated_at"),
        "whole_id",
        "api_link",
    )

    actions_list: ClassVar = ("create_user",)
    actions_detail: ClassVar = (
        "edit_user",
        "reset_password",
        "unlock_user",
        "reset_mfa",
        "disable_user",
        "enable_user",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With their roles: one query for all."""
        return rights.with_rights(super().get_queryset(request), user="pk")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Without those that refuse oneself."""
        buttons = super().get_actions_detail(request, object_id)
        with suppress(ValueError):
            if UUID(str(object_id)) == request.user.pk:
                return [b for b in buttons if b.method.__name__ not in FOR_OTHERS]
        return buttons

    @list_form_button("New user", NewUserForm, icon="person_add")
    def create_user(self, request: HttpRequest, **values: Any) -> None:
        """Add a person."""
        steer(self, request, people.create_user, giver=giver(request), **values)

    @form_button(
        "Edit user",
        EditUserForm,
        question="A role replaces all that the person holds everywhere.",
        icon="edit",
    )
    def edit_user(self, request: HttpRequest, user: User, **values: Any) -> None:
        """Give them another name or role."""
        self._update(request, user, **values)

    @form_button(
        "Disable user",
        SteeringForm,
        question="Their sessions end and their API keys open nothing, with the next request.",
        available=lambda user: user.is_active,
    )
    def disable_user(self, request: HttpRequest, user: User) -> None:
        """Keep them out."""
        self._update(request, user, is_active=False)

    @form_button(
        "Enable user",
        SteeringForm,
        question="They can log in again.",
        available=lambda user: not user.is_active,
    )
    def enable_user(self, request: HttpRequest, user: User) -> None:
        """Let them in again."""
        self._update(request, user, is_active=True)

    @form_button(
        "Reset second factor",
        SteeringForm,
        question="Their second factor is removed and their sessions end."
        " Be sure that they asked for it.",
        available=lambda user: user.mfa_enabled_at is not None,
    )
    def reset_mfa(self, request: HttpRequest, user: User) -> None:
        """For somebody who lost their authenticator and their backup codes."""
        steer(self, request, recovery.reset_mfa, user_id=user.pk, giver=giver(request))

    @form_button(
        "Reset password",
        SteeringForm,
        question="They get a new password, which you see once and tell them. Their sessions end,"
        " and whoever logs in with it must choose another one. Be sure that they asked for it.",
        available=lambda user: user.is_active,
    )
    def reset_password(self, request: HttpRequest, user: User) -> HttpResponse:
        """For somebody who forgot theirs."""
        made = steer(self, request, recovery.reset_password, user_id=user.pk, giver=giver(request))
        return shown_once(request, f"The new password of {user.email}", made)

    @form_button(
        "Unlock user",
        SteeringForm,
        question="They were locked out after too many wrong passwords or codes. They can try again"
        " at once.",
        available=_is_locked,
    )
    def unlock_user(self, request: HttpRequest, user: User) -> None:
        """For somebody who knows it again."""
        steer(self, request, recovery.unlock, user_id=user.pk, giver=giver(request))

    def _update(self, request: HttpRequest, user: User, **values: Any) -> None:
        steer(
            self,
            request,
            people.update_user,
            user_id=user.pk,
            values=values,
            giver=giver(request),
        )
