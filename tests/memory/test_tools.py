"""Memory as agents use it."""

from typing import Any
from uuid import uuid4

import pytest

from accounts.models import Organization
from agents.models import Agent
from agents.operations import catalogue
from agents.runtime.spec import ToolContext
from agents.runtime.tools import ToolFailed
from kernel import loop
from kernel.errors import DomainError
from memory.models import Memory
from tests.agents.factories import make_agent
from tests.memory.factories import make_memory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def agent(organization: Organization) -> Agent:
    """Who remembers."""
    return make_agent(organization)


def use(agent: Agent, tool: str, **arguments: Any) -> Any:
    """What the tool gives the agent."""
    context = ToolContext(organization_id=agent.organization_id, agent_id=agent.pk, run_id=uuid4())
    return loop.get().submit(catalogue.TOOLS.invoke(tool, context, arguments)).result(20).value


def test_what_is_saved_is_found_again(agent: Agent) -> None:
    saved = use(agent, "memory_save", content="Deployment is on Fridays.", importance=8)

    found = use(agent, "memory_search", query="when do we deploy?")

    assert found == {"memories": [saved]}
    assert Memory.objects.get().execution_id is not None


def test_what_has_more_of_the_words_comes_first(agent: Agent) -> None:
    make_memory(agent, content="The red door.", importance=10)
    make_memory(agent, content="The red house.", importance=1)

    found = use(agent, "memory_search", query="red house", limit=5)

    assert [memory["content"] for memory in found["memories"]] == [
        "The red house.",
        "The red door.",
    ]


def test_saving_twice_is_saving_once(agent: Agent) -> None:
    for _ in range(2):
        use(agent, "memory_save", content="A.")

    assert Memory.objects.count() == 1
    assert catalogue.TOOLS.get("memory_save").idempotent


def test_an_agent_sees_and_forgets_only_its_own(agent: Agent) -> None:
    theirs = make_memory(make_agent(agent.organization), content="Theirs.")

    assert use(agent, "memory_search") == {"memories": []}
    with pytest.raises(DomainError):
        use(agent, "memory_delete", id=str(theirs.pk))
    assert Memory.objects.exists()


def test_an_agent_forgets(agent: Agent) -> None:
    memory = make_memory(agent)

    gone = use(agent, "memory_delete", id=str(memory.pk))

    assert gone == {"deleted": str(memory.pk)}
    assert not Memory.objects.exists()


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("memory_save", {}),
        ("memory_save", {"content": "A.", "importance": 11}),
        ("memory_save", {"content": "A.", "agent_id": "x"}),
        ("memory_search", {"limit": 0}),
        ("memory_delete", {"id": "no"}),
    ],
)
def test_bad_arguments_are_told_to_the_model(
    agent: Agent, tool: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ToolFailed):
        use(agent, tool, **arguments)
    assert not Memory.objects.exists()
