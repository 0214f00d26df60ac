"""Console pages of the audit chain and its checkpoints."""

from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from audit import operations
from audit.models import AuditCheckpoint, AuditEvent, joined
from audit.selectors import chain, checkpoints
from audit.selectors.events import parts
from kernel import clock, display
from kernel.admin import (
    SEEN,
    ConsoleAdmin,
    column,
    exact_time,
    recent_values,
    status_column,
    time_column,
)
from kernel.admin_forms import TEXT, DialogForm, list_form_button


def _history(resource: str) -> SafeString:
    page = reverse("admin:audit_auditevent_changelist")
    return format_html('<a href="{}?{}">{}</a>', page, urlencode({"resource": resource}), resource)


def _genuine(checkpoint: AuditCheckpoint) -> str:
    good = checkpoints.is_genuine(checkpoint, keys=checkpoints.public_keys())
    return "good" if good else "forged, or by a key that is not known here"


RESOURCE: Final = column("resource", lambda event: event.resource, _history)


class ActorFilter(admin.SimpleListFilter):
    """Exactly one actor, of those that acted last or of a link."""

    title = "actor"
    parameter_name = "actor"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Who acted in the newest rows."""
        newest = model_admin.get_queryset(request).order_by(*model_admin.ordering)
        rows = newest.values_list("actor_type", "actor_id", "actor_label")[:SEEN]
        found = {joined(kind, pk): label or joined(kind, pk) for kind, pk, label in rows}
        if asked := request.GET.get(self.parameter_name):
            found.setdefault(asked, asked)
        return sorted(found.items(), key=lambda pair: pair[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By the index of actors."""
        return queryset.filter(**parts("actor", self.value() or ""))


class ResourceFilter(admin.SimpleListFilter):
    """Exactly one object, as links name it."""

    title = "resource"
    parameter_name = "resource"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The one that is asked for; there are too many to offer."""
        asked = request.GET.get(self.parameter_name)
        return [(asked, asked)] if asked else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By the index of resources."""
        return queryset.filter(**parts("resource", self.value() or ""))


class VerifyForm(DialogForm):
    """Where to begin."""

    named: ClassVar = {"from_position": "first"}
    first = forms.IntegerField(
        label="From position",
        min_value=1,
        max_value=2**62,
        required=False,
        widget=TEXT(),
        help_text=f"Empty: the newest {chain.MOST:,} rows, all of a short chain.",
    )


@admin.register(AuditEvent)
class AuditEventAdmin(ConsoleAdmin):
    """Who did what, newest first; every filter has its index."""

    view_permission = "audit.read"
    edit_permission = "audit.read"
    page_title = "Audit"
    api_path = "/api/v1/audit-events"
    ordering: ClassVar = ("-occurred_at", "-pk")
    list_display: ClassVar = (
        "action",
        column("actor", lambda event: event.actor_label or event.actor_type),
        RESOURCE,
        status_column(),
        time_column("occurred_at", "occurred"),
        column("position", lambda event: event.position or "not sealed yet"),
        "short_id",
    )
    list_filter: ClassVar = (
        ActorFilter,
        recent_values("action"),
        ResourceFilter,
        "status",
        "occurred_at",
    )
    linked_filters: ClassVar = ("request_id",)
    search_fields: ClassVar = ("action", "resource_id", "actor_label")
    search_help_text = "A part of action, actor or resource among the newest rows, or an id"
    actions_list: ClassVar = ("verify_chain",)
    fieldsets: ClassVar = (
        (
            None,
            {
                "fields": (
                    "action",
                    status_column(),
                    exact_time("occurred_at"),
                    "actor_label",
                    "actor",
                    RESOURCE,
                    column("details", lambda event: event.details, display.structure_block),
                    "ip_address",
                    "request_id",
                )
            },
        ),
        (
            "Chain",
            {
                "fields": (
                    column("position", lambda event: event.position or "not sealed yet"),
                    "previous_hash",
                    "hash",
                    "whole_id",
                    "api_link",
                )
            },
        ),
    )

    @list_form_button(
        "Verify chain",
        VerifyForm,
        question="Hashes the rows anew and checks the signatures of their checkpoints.",
        icon="verified",
    )
    def verify_chain(self, request: HttpRequest, first: int | None) -> None:
        """Say what was found."""
        verdict = operations.verify_chain(
            organization_id=request.user.organization_id,  # type: ignore[union-attr]  # logged in
            first=first,
            actor=self.actor(request),
            now=clock.now(),
        )
        level = messages.ERROR if verdict.fault else messages.SUCCESS
        self.message_user(request, _sentence(verdict), level)


@admin.register(AuditCheckpoint)
class AuditCheckpointAdmin(ConsoleAdmin):
    """Signatures over the chain, newest first."""

    view_permission = "audit.read"
    page_title = "Audit checkpoints"
    ordering: ClassVar = ("-position", "-pk")
    list_display: ClassVar = (
        "position",
        time_column("signed_at", "signed"),
        "key_id",
        column("hash", lambda checkpoint: checkpoint.hash[:16]),
        "short_id",
    )
    search_fields: ClassVar = ("key_id", "hash")
    fields: ClassVar = (
        "position",
        exact_time("signed_at"),
        "hash",
        "key_id",
        "signature",
        column("signature is", _genuine),
        "whole_id",
    )


def _sentence(verdict: chain.Verdict) -> str:
    if verdict.fault:
        return verdict.fault.sentence
    last = verdict.first + verdict.checked - 1
    said = f"Rows {verdict.first} to {last} are whole" if verdict.checked else "No row was wrong"
    signed = f"{said}; {verdict.checkpoints} checkpoints among them have a good signature."
    return f"{signed} Go on at {verdict.next}." if verdict.next else signed
