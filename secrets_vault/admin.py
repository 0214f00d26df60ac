"""The console's vault: names and versions; values go in and are never shown."""

from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from kernel.admin import ConsoleAdmin, confirmed
from kernel.admin_columns import exact_time, time_column
from kernel.admin_forms import PASSWORD, TEXT, DialogForm, form_button, list_form_button, text
from secrets_vault.models import Secret
from secrets_vault.operations import keeping


class ValueForm(DialogForm):
    """A value to be kept."""

    value = forms.CharField(
        label="Value",
        strip=False,
        widget=PASSWORD(attrs={"autocomplete": "new-password"}),
        help_text="It is sealed, and shown on no page.",
    )
    expires_at = forms.DateTimeField(
        label="Expires (UTC)",
        required=False,
        widget=TEXT(),
        help_text="Such as 2030-01-31 12:00; empty for never.",
    )


class SecretForm(ValueForm):
    """A new secret."""

    name = text("Name", length=64, help_text="Tool sources name it as {secret:name}.")
    category = text("Category", length=64, required=False)
    description = text("Description", length=500, required=False)
    field_order: ClassVar = ["name", "value", "category", "description", "expires_at"]


@admin.register(Secret)
class SecretAdmin(ConsoleAdmin):
    """What the hub keeps for its tools."""

    page_title = "Secrets"
    view_permission = "secret.read"
    edit_permission = "secret.edit"
    audited_as: ClassVar = ("secret", "name")
    list_display: ClassVar = (
        "name",
        "category",
        "version",
        time_column("rotated_at", "rotated"),
        time_column("expires_at", "expires"),
    )
    search_fields: ClassVar = ("name", "category")
    ordering: ClassVar = ("name", "pk")
    fields: ClassVar = (
        "name",
        "category",
        "description",
        "version",
        exact_time("expires_at"),
        exact_time("rotated_at"),
        exact_time("created_at"),
        "whole_id",
    )
    actions_list: ClassVar = ("create_secret",)
    actions_detail: ClassVar = ("rotate_secret", "delete_secret")

    @list_form_button("New secret", SecretForm, icon="add")
    def create_secret(self, request: HttpRequest, **values: Any) -> None:
        """Store one."""
        keeping.create_secret(**values, **self.who(request))

    @form_button("Rotate", ValueForm, icon="autorenew")
    def rotate_secret(
        self, request: HttpRequest, secret: Secret, value: str, expires_at: datetime | None
    ) -> None:
        """Give it another value."""
        keeping.rotate_secret(
            secret_id=secret.pk, value=value, expires_at=expires_at, **self.who(request)
        )

    @confirmed("Delete", "Whatever names it fails from then on. Its values cannot be had back.")
    def delete_secret(self, request: HttpRequest, secret: Secret) -> None:
        """Remove it."""
        self.attempt(request, keeping.delete_secret, secret_id=secret.pk, **self.who(request))
