"""Console pages of executions."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, ClassVar, Final
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse

from agents import selectors
from agents.admin import standing
from agents.choices import FORKED, ExecutionStatus, ReplayTools
from agents.errors import OutputNotFound
from agents.models import AgentExecution
from agents.operations import forks, replays, resumption
from agents.operations.forks import Fork
from agents.operations.replays import Replay
from kernel import clock, display
from kernel.admin import ConsoleAdmin
from kernel.admin_columns import column, exact_time, money_column, time_column
from kernel.admin_forms import NUMBER, SELECT, TEXTS, DialogForm, form_button

OFFERED: Final = 200
REPLAYS: Final = (
    "A new task plays this run again, with the model's answers that are on record. No provider is"
    " asked, and it costs nothing."
)
FORKS: Final = "A new task goes on after that step. Nothing up to it is done again, or paid again."


def _is_over(run: AgentExecution) -> bool:
    return run.status != ExecutionStatus.RUNNING


class AgainForm(DialogForm):
    """With which version of the agent."""

    unless: ClassVar[str] = ""
    version = forms.TypedChoiceField(
        label="Version of the agent", coerce=int, empty_value=None, required=False, widget=SELECT()
    )

    def prepare(self) -> None:
        """The newest versions, and what counts without a choice."""
        made: list[tuple[int, Any]] = []
        if self.object_id is not None:
            made = selectors.list_versions_of_run(
                organization_id=self.request.user.organization_id, execution_id=self.object_id
            )
        listed = [(number, f"{number}, of {at:%Y-%m-%d %H:%M} UTC") for number, at in made]
        self.fields["version"].choices = [("", self.unless), *listed]


class ForkForm(AgainForm):
    """From which step, with which version, told what."""

    unless = "The one that is current when it runs"
    step = forms.IntegerField(
        label="Last step that is kept", min_value=1, max_value=2**31 - 1, widget=NUMBER()
    )
    instructions = forms.CharField(
        label="What to tell the agent in addition",
        required=False,
        max_length=50_000,
        widget=TEXTS(attrs={"rows": 3}),
    )
    field_order: ClassVar = ["step", "version", "instructions"]

    def prepare(self) -> None:
        """The step whose button was pressed."""
        super().prepare()
        step = self.request.GET.get("step", "")
        self.fields["step"].initial = int(step) if step.isdecimal() else None


class ReplayForm(AgainForm):
    """With which version, and with what for tools."""

    unless = "That of the run"
    tools = forms.ChoiceField(
        label="Results of tools",
        choices=(
            (ReplayTools.RECORDED.value, "From the record: nothing is called"),
            (ReplayTools.LIVE.value, "Tools are called, with all that has to be asked for"),
        ),
        initial=ReplayTools.RECORDED,
        widget=SELECT(),
    )


class OfAgent(admin.SimpleListFilter):
    """Runs of one agent; by the same words as links to the list."""

    title = "agent"
    parameter_name = "agent__id__exact"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The agents by name."""
        person: Any = request.user
        agents = selectors.list_agents(organization_id=person.organization_id)
        named = agents.order_by("name", "pk").values_list("pk", "name")[:OFFERED]
        return [(str(pk), name) for pk, name in named]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """What the one that was chosen did."""
        if not self.value():
            return queryset
        with suppress(ValueError):
            return queryset.filter(agent_id=UUID(self.value()))
        return queryset.none()


@admin.register(AgentExecution)
class AgentExecutionAdmin(ConsoleAdmin):
    """What happened in each run."""

    view_permission = "execution.read"
    edit_permission = "agent.run"
    page_title = "Executions"
    api_path = "/api/v1/executions"
    linked_filters: ClassVar = ("agent", "task_id")
    list_display: ClassVar = (
        "agent_name",
        column("status", lambda run: run, standing.standing),
        column("error", lambda run: run, standing.cause),
        "source",
        column("version", lambda run: run.version.number),
        column("task", lambda run: run.task_id, lambda pk: display.page_link("tasks_task", pk)),
        column("tokens", lambda run: f"{run.input_tokens:,} + {run.output_tokens:,}"),
        money_column(),
        column("duration", lambda run: run.duration_ms / 1000, display.duration),
        time_column("created_at", "began"),
        "short_id",
    )
    list_filter: ClassVar = (OfAgent, "status", "source", "created_at")
    search_fields: ClassVar = ("agent_name",)
    search_help_text = "A part of the agent's name, or an id"
    change_form_outer_before_template = "console/execution.html"
    fields: ClassVar = (
        column("asked", lambda run: run.input, display.text_block),
        "source",
        exact_time("created_at"),
        exact_time("finished_at"),
        "whole_id",
        "api_link",
    )
    actions_detail: ClassVar = ("fork_execution", "replay_execution")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AgentExecution]:
        """Executions with their versions."""
        return super().get_queryset(request).select_related("version")

    def page_context(self, request: HttpRequest, row: AgentExecution) -> Mapping[str, Any]:
        """The run's steps, and the runs of the agents that it called."""
        children = selectors.list_children(organization_id=row.organization_id, execution_id=row.pk)
        found = selectors.list_steps(organization_id=row.organization_id, execution_id=row.pk)
        steps = list(found)
        played = replays.find_played(execution=row)
        asked = selectors.list_approvals(execution=row, steps=steps, now=clock.now())
        return {
            "steps": steps,
            "children": children,
            "played": played,
            "approvals": asked,
            "holder": standing.holder(request, row),
            "may_fork": _is_over(row) and self.has_edit_permission(request),
            "last": steps[-1] if steps and resumption.is_final_answer(steps[-1]) else None,
            "is_copy": row.error_kind == FORKED,
        }

    def get_urls(self) -> list[URLPattern]:
        """The pages, and all of what a tool returned."""
        output = path(
            "outputs/<uuid:step_id>/",
            self.admin_site.admin_view(self.output_view),
            name="agents_agentexecution_output",
        )
        return [output, *super().get_urls()]

    def output_view(self, request: HttpRequest, step_id: UUID) -> HttpResponse:
        """All of it as plain text, where the model was given a part."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        person: Any = request.user
        try:
            found = selectors.get_output(organization_id=person.organization_id, step_id=step_id)
        except OutputNotFound:
            return self.back_to_list(request)
        return HttpResponse(found.text, content_type="text/plain; charset=utf-8")

    @form_button("Fork", ForkForm, question=FORKS, icon="call_split", available=_is_over)
    def fork_execution(self, request: HttpRequest, run: AgentExecution, **asked: Any) -> Any:
        """Begin the task, and lead to it."""
        return self._begin(request, run, forks.fork_execution, fork=Fork(**asked))

    @form_button("Replay", ReplayForm, question=REPLAYS, icon="replay", available=_is_over)
    def replay_execution(self, request: HttpRequest, run: AgentExecution, **asked: Any) -> Any:
        """Begin the task, and lead to it."""
        return self._begin(request, run, replays.replay_execution, replay=Replay(**asked))

    def _begin(
        self, request: HttpRequest, run: AgentExecution, operation: Callable[..., UUID], **what: Any
    ) -> HttpResponse:
        """The page of the task that the operation makes of the run."""
        person: Any = request.user
        task_id = operation(
            organization_id=person.organization_id,
            execution_id=run.pk,
            user_id=person.pk,
            actor=self.actor(request),
            now=clock.now(),
            **what,
        )
        return self._go(request, reverse("admin:tasks_task_change", args=[task_id]))
