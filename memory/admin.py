"""The console's page of what agents remember."""

from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from agents import selectors as agents
from kernel import display
from kernel.admin import ConsoleAdmin, confirmed
from kernel.admin_columns import column, exact_time, time_column
from kernel.admin_forms import NUMBER, DialogForm, form_button, list_form_button
from memory import selectors
from memory.choices import CONTENT_CHARACTERS, LEAST, MOST, USUAL, MemoryCategory
from memory.models import Memory
from memory.operations import memories

AGENTS = 200


class MemoryForm(DialogForm):
    """What is remembered."""

    content = forms.CharField(
        label="What to remember", max_length=CONTENT_CHARACTERS, widget=forms.Textarea
    )
    category = forms.ChoiceField(
        label="Category", choices=MemoryCategory.choices, initial=MemoryCategory.GENERAL
    )
    importance = forms.IntegerField(
        label="Importance, 1 to 10", initial=USUAL, min_value=LEAST, max_value=MOST, widget=NUMBER()
    )

    def prepare(self) -> None:
        """A memory that is there has values."""
        if self.object_id is None:
            return
        memory = selectors.get_memory(
            organization_id=self.request.user.organization_id, memory_id=self.object_id
        )
        for name in ("content", "category", "importance"):
            self.fields[name].initial = getattr(memory, name)


class NewMemoryForm(MemoryForm):
    """A memory of an agent."""

    agent_id = forms.ChoiceField(label="Agent")
    field_order: ClassVar = ["agent_id"]

    def prepare(self) -> None:
        """The agents there are."""
        rows = agents.list_agents(organization_id=self.request.user.organization_id)
        self.fields["agent_id"].choices = list(rows.values_list("pk", "name")[:AGENTS])


@admin.register(Memory)
class MemoryAdmin(ConsoleAdmin):
    """What agents remember from one run to the next."""

    page_title = "Memory"
    view_permission = "memory.read"
    edit_permission = "memory.edit"
    linked_filters: ClassVar = ("agent",)
    list_display: ClassVar = (
        column("remembered", lambda memory: memory.content[:120]),
        column("agent", lambda memory: memory.agent),
        "category",
        "importance",
        time_column("created_at", "created"),
    )
    list_filter: ClassVar = ("category",)
    list_select_related: ClassVar = ("agent",)
    search_fields: ClassVar = ("content", "agent__name")
    search_help_text = "A part of the text or the agent's name"
    fields: ClassVar = (
        column("remembered", lambda memory: memory.content, display.text_block),
        "agent",
        "category",
        "importance",
        column("metadata", lambda memory: memory.metadata, display.structure_block),
        column(
            "written by",
            lambda memory: memory.execution_id,
            lambda run: display.page_link("agents_agentexecution", run) if run else "A person",
        ),
        exact_time("created_at"),
        exact_time("updated_at"),
        "whole_id",
    )
    actions_list: ClassVar = ("create_memory",)
    actions_detail: ClassVar = ("change_memory", "delete_memory")

    @list_form_button("New memory", NewMemoryForm, icon="add")
    def create_memory(self, request: HttpRequest, agent_id: str, **values: Any) -> None:
        """Let an agent remember something."""
        memories.save_memory(
            agent_id=UUID(agent_id), values={**values, "metadata": {}}, **self.who(request)
        )

    @form_button("Change", MemoryForm, icon="edit")
    def change_memory(self, request: HttpRequest, memory: Memory, **values: Any) -> None:
        """Give it other words, another category or importance."""
        memories.update_memory(memory_id=memory.pk, values=values, **self.who(request))

    @confirmed("Forget", "The agent no longer remembers it.")
    def delete_memory(self, request: HttpRequest, memory: Memory) -> HttpResponse | None:
        """Forget it."""
        self.attempt(request, memories.delete_memory, memory_id=memory.pk, **self.who(request))
        return None
