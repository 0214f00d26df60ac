"""Running an agent from its console page."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from agents.admin.agents import AgentAdmin
from agents.choices import ExecutionSource
from agents.models import Agent
from kernel import clock
from kernel.admin_forms import TEXTS, DialogForm, form_button
from runs.operations import starting
from runs.operations.starting import Asked
from runs.serializers import PROMPT_LIMIT


class RunForm(DialogForm):
    """What the agent is asked."""

    prompt = forms.CharField(
        label="Prompt", max_length=PROMPT_LIMIT, widget=TEXTS(attrs={"rows": 6})
    )


class RunningAgentAdmin(AgentAdmin):
    """The page of an agent, with a button to run it: the task's page shows the answer come."""

    actions_detail: ClassVar[Any] = (*AgentAdmin.actions_detail, "run_agent")

    @form_button(
        "Run agent",
        RunForm,
        question="The answer comes on the page of the run's task.",
        available=lambda agent: agent.is_active,
        icon="play_arrow",
    )
    def run_agent(self, request: HttpRequest, agent: Agent, **values: Any) -> HttpResponse:
        """Ask it something."""
        user: Any = request.user
        task = starting.start_run(
            agent=agent,
            asked=Asked(**values),
            source=ExecutionSource.REST,
            user_id=user.pk,
            actor=self.actor(request),
            now=clock.now(),
        )
        return self._go(request, reverse("admin:tasks_task_change", args=[task.pk]))


admin.site.unregister(Agent)
admin.site.register(Agent, RunningAgentAdmin)
