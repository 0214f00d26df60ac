"""What a run really goes by: the version and the override of its agent's name."""

import dataclasses
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Organization
from agents import selectors
from agents.choices import AgentType
from agents.clients import stamps
from agents.errors import AgentDisabled
from agents.models import Agent, AgentOverride, AgentVersion
from agents.operations import effective, registry
from agents.operations.effective import Configuration
from kernel import clock
from kernel import stamps as kernel_stamps
from kernel.actors import SYSTEM
from tests.agents.factories import PERSON, change_override, drop_override, make_agent, make_override

DESIGN: dict[str, Any] = {
    "name": "Ada",
    "llm_provider": "openai",
    "llm_model": "gpt-4o",
    "system_prompt": "Be kind.",
    "temperature": 0.5,
    "max_tokens": 100,
    "enabled_tools": ["calculator", "http_get"],
    "tool_blacklist": ["http_get"],
    "max_tool_calls": 7,
    "timeout_seconds": 30,
    "max_tokens_per_task": 900,
    "fallback_models": ["anthropic:claude-sonnet-5-5"],
}


@pytest.fixture
def agent(organization: Organization) -> Agent:
    """One with a design of its own in every field."""
    made = make_agent(organization, **DESIGN)
    assert made.current_version is not None  # read here, not within what is counted
    return made


def of(agent: Agent) -> Configuration:
    assert agent.current_version is not None
    return effective.configuration_of(version=agent.current_version, agent_name=agent.name)


def queries_of(act: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as queries:
        act()
    return len(queries)


def commit(django_capture_on_commit_callbacks: Any, act: Callable[[], Any]) -> None:
    """As if the test's transaction ended."""
    with django_capture_on_commit_callbacks(execute=True):
        act()


def test_without_an_override_the_design_counts(agent: Agent) -> None:
    assert of(agent) == Configuration(
        provider="openai",
        model="gpt-4o",
        system_prompt="Be kind.",
        temperature=0.5,
        max_tokens=100,
        tools=("calculator",),
        response_format="text",
        max_tool_calls=7,
        timeout_seconds=30.0,
        max_total_tokens=900,
        fallback_models=(("anthropic", "claude-sonnet-5-5"),),
        override_id=None,
    )


def test_an_override_counts_field_by_field(agent: Agent) -> None:
    override = make_override(
        agent.organization,
        "Ada",
        model="gpt-5",
        system_prompt="",
        temperature=0.0,
        response_format="json",
        guardrails={"maxToolCalls": 0, "timeout": 1500, "maxTokenBudget": 5},
    )

    assert of(agent) == Configuration(
        provider="openai",
        model="gpt-5",
        system_prompt="",
        temperature=0.0,
        max_tokens=100,
        tools=("calculator",),
        response_format="json",
        max_tool_calls=0,
        timeout_seconds=1.5,
        max_total_tokens=5,
        fallback_models=(("anthropic", "claude-sonnet-5-5"),),
        override_id=override.pk,
        overridden=frozenset({"max_tool_calls", "timeout_seconds", "max_total_tokens"}),
    )


def test_an_override_of_nothing_is_the_design(agent: Agent) -> None:
    assert agent.current_version is not None
    design = effective._designed(agent.current_version)

    override = make_override(agent.organization, "Ada", guardrails={"timeout": None})

    assert of(agent) == dataclasses.replace(design, override_id=override.pk)


def test_another_provider_comes_with_its_own_default_model(agent: Agent) -> None:
    make_override(agent.organization, "Ada", provider="anthropic")

    assert (of(agent).provider, of(agent).model) == ("anthropic", "")


@pytest.mark.parametrize(
    ("selected", "expected"),
    [
        (None, ("calculator",)),
        ([], ()),
        (["knowledge_search"], ("knowledge_search",)),
        (["http_get", "calculator"], ("calculator",)),
    ],
    ids=["null", "none", "others", "what the version bans"],
)
def test_selected_tools_take_the_place_of_the_versions(
    agent: Agent, selected: list[str] | None, expected: tuple[str, ...]
) -> None:
    make_override(agent.organization, "Ada", selected_tools=selected)

    assert of(agent).tools == expected


def test_a_disabled_agent_has_no_configuration(agent: Agent) -> None:
    make_override(agent.organization, "Ada", enabled=False)

    with pytest.raises(AgentDisabled, match="Agent Ada is disabled") as refused:
        of(agent)
    assert (refused.value.status, refused.value.code) == (403, "agent.disabled")


def test_overrides_of_others_do_not_count(agent: Agent, other_organization: Organization) -> None:
    make_override(other_organization, "Ada", enabled=False)
    make_override(agent.organization, "ada", enabled=False)
    dropped = make_override(agent.organization, "Ada", enabled=False)
    drop_override(dropped)

    assert of(agent).override_id is None


def test_a_fault_of_the_look_up_is_no_answer(agent: Agent) -> None:
    of(agent)
    stamps.renew(organization_id=agent.organization_id)

    with (
        mock.patch.object(selectors, "list_overrides", side_effect=DatabaseError),
        pytest.raises(DatabaseError),
    ):
        of(agent)


def test_it_is_read_once_and_anew_after_a_write(
    agent: Agent, django_capture_on_commit_callbacks: Any
) -> None:
    reads = [queries_of(lambda: of(agent)) for _ in range(3)]

    commit(
        django_capture_on_commit_callbacks,
        lambda: make_override(agent.organization, "Ada", max_tokens=5),
    )

    assert reads == [1, 0, 0]
    assert of(agent).max_tokens == 5
    assert queries_of(lambda: of(agent)) == 0


def test_a_write_counts_in_every_process(
    agent: Agent, django_capture_on_commit_callbacks: Any
) -> None:
    """Another process has the same memory of before, and the same Redis."""
    override = make_override(agent.organization, "Ada", max_tokens=5)
    of(agent)
    elsewhere = dict(effective._memory._known)

    commit(django_capture_on_commit_callbacks, lambda: change_override(override, enabled=False))
    effective._memory._known.clear()
    effective._memory._known.update(elsewhere)

    with pytest.raises(AgentDisabled):
        of(agent)


def test_what_is_rolled_back_is_not_remembered(agent: Agent) -> None:
    with transaction.atomic():
        make_override(agent.organization, "Ada", max_tokens=5)
        transaction.set_rollback(True)

    assert of(agent).max_tokens == 100


def test_without_redis_every_look_up_reads_the_row(agent: Agent) -> None:
    of(agent)
    kernel_stamps.silence.until = float("inf")

    reads = [queries_of(lambda: of(agent)) for _ in range(2)]

    assert reads == [1, 1]


def test_what_is_remembered_ends_by_itself(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    of(agent)
    monkeypatch.setattr(kernel_stamps, "MEMORY_SECONDS", -1.0)

    assert queries_of(lambda: of(agent)) == 1


def test_the_memory_is_bounded(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_stamps, "MOST_REMEMBERED", 2)
    version = agent.current_version
    assert version is not None

    for number in range(5):
        effective.configuration_of(version=version, agent_name=f"Name {number}")

    assert [name for _, name in effective._memory._known][-2:] == ["Name 3", "Name 4"]
    assert len(effective._memory._known) == 2


OVERRIDES = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from([None, "m"]),
        "system_prompt": st.sampled_from([None, "", "p"]),
        "temperature": st.sampled_from([None, 0.0, 2.0]),
        "max_tokens": st.sampled_from([None, 1]),
        "selected_tools": st.sampled_from([None, [], ["a"]]),
        "guardrails": st.sampled_from([None, {}, {"maxToolCalls": 0}, {"maxTokenBudget": 1}]),
    },
)


@given(values=OVERRIDES)
def test_null_is_always_the_design(values: dict[str, Any]) -> None:
    version = AgentVersion(**{k: v for k, v in DESIGN.items() if k != "name"})
    override = AgentOverride(**values)

    found, design = effective._overridden(version, override), effective._designed(version)

    for field, given_name in [
        ("model", "model"),
        ("system_prompt", "system_prompt"),
        ("temperature", "temperature"),
        ("max_tokens", "max_tokens"),
    ]:
        asked = values.get(given_name)
        assert getattr(found, field) == (getattr(design, field) if asked is None else asked)
    selected = values.get("selected_tools")
    assert found.tools == (design.tools if selected is None else tuple(selected))
    limits = values.get("guardrails") or {}
    assert found.max_tool_calls == limits.get("maxToolCalls", design.max_tool_calls)
    assert found.max_total_tokens == limits.get("maxTokenBudget", design.max_total_tokens)


def test_agents_of_the_hub_itself_are_by_design(organization: Organization) -> None:
    made = [
        registry.create_agent(
            organization_id=organization.pk,
            values={"name": str(actor), "llm_provider": "demo"},
            actor=actor,
            now=clock.now(),
        ).agent_type
        for actor in (SYSTEM, PERSON)
    ]

    assert made == [AgentType.DESIGN, AgentType.DYNAMIC]
