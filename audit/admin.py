"""Console pages of the audit chain and its checkpoints."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from audit import operations
from audit.models import AuditCheckpoint, AuditEvent, joined
from audit.selectors import chain, checkpoints, events
from audit.selectors.events import parts
from kernel import clock, display
from kernel.admin import AUDITED, ConsoleAdmin, names_of
from kernel.admin_columns import SEEN, column, exact_time, status_column, time_column
from kernel.admin_forms import TEXT, DialogForm, list_form_button

LONGEST_NAME: Final = 60


def _named(event: AuditEvent) -> SafeString | str:
    """The object by name, as a link to its page; its history is one of the filters."""
    name = getattr(event, "resource_name", "")
    if not name:
        return _history(event)
    options = AUDITED[event.resource_type].opts
    words = f"{event.resource_type.replace('_', ' ')} {Truncator(name).chars(LONGEST_NAME)}"
    page = f"{options.app_label}_{options.model_name}"
    return display.page_link(page, event.resource_id, words)


def _history(event: AuditEvent) -> SafeString:
    page = reverse("admin:audit_auditevent_changelist")
    query = urlencode({"resource": event.resource})
    words = f"{event.resource_type.replace('_', ' ')} {_short(event.resource_id)}"
    return format_html('<a href="{}?{}">{}</a>', page, query, words)


def _short(resource_id: str) -> str:
    """The end of a UUID; a name, such as that of a setting, is said in full."""
    try:
        return f"…{str(UUID(resource_id))[-display.ID_TAIL :]}"
    except ValueError:
        return resource_id


def _names(request: HttpRequest, events: Sequence[AuditEvent]) -> dict[tuple[str, str], str]:
    """What the resources are called whose page the caller may see; one query."""
    wanted: dict[str, set[UUID]] = {}
    for event in events:
        with suppress(ValueError):
            wanted.setdefault(event.resource_type, set()).add(UUID(event.resource_id))
    return names_of(request, wanted)


def _actor(event: AuditEvent) -> str:
    """Who acted, for people: strangers by their address, processes by what they are."""
    if event.actor_type == "anonymous":
        return f"anonymous from {event.ip_address}" if event.ip_address else "anonymous"
    if event.actor_type == "system" and event.actor_id:
        # Rows of earlier versions have a worker's name as its id.
        part = "worker" if event.actor_id == event.actor_label else event.actor_id
        return f"system ({part} {event.actor_label})"
    return event.actor_label or event.actor_type


def _genuine(checkpoint: AuditCheckpoint) -> str:
    good = checkpoints.is_genuine(checkpoint, keys=checkpoints.public_keys())
    return "good" if good else "forged, or by a key that is not known here"


ACTOR: Final = column("actor", _actor)
RESOURCE: Final = column("resource", lambda event: event, _named)
HISTORY: Final = column("history", lambda event: event, _history)


class ActionFilter(admin.SimpleListFilter):
    """Exactly one of the actions that ever happened here."""

    title = "action"
    parameter_name = "action"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """All of them."""
        organization_id = request.user.organization_id  # type: ignore[union-attr]  # logged in
        found = events.list_actions(organization_id=organization_id)
        return [(action, action) for action in found]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By the index of actions."""
        return queryset.filter(action=self.value()) if self.value() else queryset


class ActorFilter(admin.SimpleListFilter):
    """Exactly one actor, of those that acted last or of a link."""

    title = "actor"
    parameter_name = "actor"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Who acted in the newest rows."""
        newest = model_admin.get_queryset(request).order_by(*model_admin.ordering)
        rows = newest.values_list("actor_type", "actor_id", "actor_label")[:SEEN]
        found = {joined(kind, pk): _label(kind, pk, label) for kind, pk, label in rows}
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
        ACTOR,
        RESOURCE,
        status_column(),
        time_column("occurred_at", "occurred"),
        column("position", lambda event: event.position or "not sealed yet"),
        "short_id",
    )
    list_filter: ClassVar = (
        ActorFilter,
        ActionFilter,
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
                    ACTOR,
                    column("actor id", lambda event: event.actor_id or display.NOTHING),
                    RESOURCE,
                    HISTORY,
                    column("details", lambda event: event.details, display.structure_block),
                    column("address", lambda event: event.ip_address or display.NOTHING),
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

    def read_along(self, request: HttpRequest, rows: Sequence[AuditEvent]) -> None:
        """What the resources are called, of those whose page the caller may see."""
        names = _names(request, rows)
        for event in rows:
            found = names.get((event.resource_type, event.resource_id), "")
            event.resource_name = found  # type: ignore[attr-defined]

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


def _label(kind: str, pk: str, label: str) -> str:
    return _actor(AuditEvent(actor_type=kind, actor_id=pk, actor_label=label))


def _sentence(verdict: chain.Verdict) -> str:
    if verdict.fault:
        return verdict.fault.sentence
    last = verdict.first + verdict.checked - 1
    said = f"Rows {verdict.first} to {last} are whole" if verdict.checked else "No row was wrong"
    signed = f"{said}; {verdict.checkpoints} checkpoints among them have a good signature."
    return f"{signed} Go on at {verdict.next}." if verdict.next else signed
