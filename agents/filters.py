"""Query parameters of the lists of agents and executions."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

from agents.choices import (
    SOURCES,
    STATUSES,
    AgentStatus,
    AgentType,
    ExecutionSource,
    ExecutionStatus,
    PublishedSource,
    PublishedStatus,
)
from agents.models import Agent, AgentExecution

NULL: Final = "null"


class AgentFilter(filters.FilterSet):
    """`?status_filter=&role=`."""

    status_filter = filters.ChoiceFilter(field_name="status", choices=AgentStatus.choices)
    role = filters.CharFilter(field_name="role", max_length=64)

    class Meta:
        model = Agent
        fields: list[str] = []


class TextsField(forms.MultipleChoiceField):
    """Texts of any kind, as often as the parameter is there."""

    def validate(self, value: list[str]) -> None:
        """Raises ValidationError for what PostgreSQL cannot look for."""
        if any(len(each) > 255 or "\x00" in each for each in value):
            raise ValidationError("Send at most 255 characters, no NUL.", code="invalid")


class UsersField(forms.MultipleChoiceField):
    """Ids, or `null`."""

    def validate(self, value: list[str]) -> None:
        """Raises ValidationError for what is neither."""
        try:
            [UUID(each) for each in value if each != NULL]
        except ValueError:
            raise ValidationError("Send a UUID, or null.", code="uuid") from None


@extend_schema_field(OpenApiTypes.STR)
class NamesFilter(filters.MultipleChoiceFilter):
    """Rows whose column holds one of the texts, whatever their case; `null`: those without."""

    field_class = TextsField

    def filter(self, qs: QuerySet[Any], value: list[str]) -> QuerySet[Any]:
        """Repeated, any of them will do."""
        found = Q()
        for text in value:
            asked = "isnull" if text == NULL else "icontains"
            found |= Q(**{f"{self.field_name}__{asked}": text == NULL or text})
        return qs.filter(found)


@extend_schema_field(OpenApiTypes.UUID)
class UsersFilter(filters.MultipleChoiceFilter):
    """Rows of one of the people; `null`: of nobody."""

    field_class = UsersField

    def filter(self, qs: QuerySet[Any], value: list[str]) -> QuerySet[Any]:
        """Repeated, any of them will do."""
        if not value:
            return qs
        people = Q(**{f"{self.field_name}__in": [each for each in value if each != NULL]})
        nobody = Q(**{f"{self.field_name}__isnull": True})
        return qs.filter(people | nobody if NULL in value else people)


class WordsFilter(filters.MultipleChoiceFilter):
    """Rows with one of the words; `stored` says as what each word is stored, if otherwise."""

    def __init__(self, *, stored: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._stored = stored

    def filter(self, qs: QuerySet[Any], value: list[str]) -> QuerySet[Any]:
        """Repeated, any of them will do."""
        if not value:
            return qs
        if self._stored is not None:
            value = [kept for kept, word in self._stored.items() if word in value]
        return qs.filter(**{f"{self.field_name}__in": value})


class ExecutionFilter(filters.FilterSet):
    """`?task_id=&agent_id=&parent_id=&status_filter=`, and those of seed 004's list in this API's
    words."""

    task_id = filters.UUIDFilter(field_name="task_id")
    agent_id = filters.UUIDFilter(field_name="agent_id")
    parent_id = filters.UUIDFilter(
        field_name="parent_id", help_text="The run that called: the runs of the agents it called."
    )
    status_filter = filters.ChoiceFilter(field_name="status", choices=ExecutionStatus.choices)
    agent_name = NamesFilter(field_name="agent_name", help_text="A part of it, or `null`.")
    agent_type = WordsFilter(field_name="agent__agent_type", choices=AgentType.choices)
    source = WordsFilter(field_name="source", choices=ExecutionSource.choices)
    user_id = UsersFilter(field_name="user_id", help_text="An id, or `null`.")
    status = WordsFilter(field_name="status", choices=ExecutionStatus.choices)

    class Meta:
        model = AgentExecution
        fields: list[str] = []


class AgentExecutionFilter(filters.FilterSet):
    """Seed 004's, each as often as one likes (contract 004 C2)."""

    agentName = NamesFilter(field_name="agent_name", help_text="A part of it, or `null`.")  # noqa: N815 - seed 004's names
    agentType = WordsFilter(field_name="agent__agent_type", choices=AgentType.choices)  # noqa: N815 - the same
    source = WordsFilter(field_name="source", choices=PublishedSource.choices, stored=SOURCES)
    userId = UsersFilter(field_name="user_id", help_text="An id, or `null`.")  # noqa: N815 - the same
    status = WordsFilter(field_name="status", choices=PublishedStatus.choices, stored=STATUSES)

    class Meta:
        model = AgentExecution
        fields: list[str] = []
