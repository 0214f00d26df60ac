"""Two people who change agents at once."""

from functools import partial
from typing import Any

import pytest

from agents.errors import AgentNameTaken
from agents.models import Agent, AgentVersion
from agents.operations import registry
from audit.models import AuditEvent
from kernel import clock
from tests.accounts.factories import make_organization
from tests.agents.factories import PERSON, make_agent
from tests.threads import race

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_name_taken_twice_at_once_goes_to_one() -> None:
    home = make_organization()

    outcomes = race(*[partial(make_agent, home, name="Ada", started=False)] * 4)

    assert sorted(type(o).__name__ for o in outcomes) == ["Agent", *["AgentNameTaken"] * 3]
    assert (Agent.objects.count(), AgentVersion.objects.count()) == (1, 1)
    assert AuditEvent.objects.count() == 1
    assert isinstance(next(o for o in outcomes if isinstance(o, Exception)), AgentNameTaken)


def test_changes_made_at_once_are_all_kept_as_versions() -> None:
    home = make_organization()
    agent = make_agent(home)
    changes: list[dict[str, Any]] = [
        {"max_tokens": 1},
        {"temperature": 0.1},
        {"system_prompt": "x"},
        {"role": "y"},
    ]

    outcomes = race(
        *[
            partial(
                registry.update_agent,
                organization_id=home.pk,
                agent_id=agent.pk,
                values=values,
                actor=PERSON,
                now=clock.now(),
            )
            for values in changes
        ]
    )

    assert [type(outcome) for outcome in outcomes] == [Agent] * 4
    agent.refresh_from_db()
    version = agent.current_version
    assert version is not None
    assert sorted(AgentVersion.objects.values_list("number", flat=True)) == [1, 2, 3, 4]
    assert (version.number, agent.role) == (4, "y")
    assert (version.max_tokens, version.temperature, version.system_prompt) == (1, 0.1, "x")
