"""The console's page of memory."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from memory.models import Memory
from tests.agents.factories import make_agent
from tests.hub.console_rows import address
from tests.memory.factories import make_memory

pytestmark = pytest.mark.django_db(transaction=True)
SUBMITTED = {"_form_submitted": "on"}


@pytest.fixture
def console(client: Client, admin: User) -> Client:
    """An administrator's browser."""
    client.force_login(admin)
    return client


def test_one_is_written_in_a_dialog(console: Client, organization: Organization) -> None:
    agent = make_agent(organization)
    values = {"agent_id": agent.pk, "content": "A.", "category": "fact", "importance": 3}

    console.post(reverse("admin:memory_memory_create_memory"), {**SUBMITTED, **values})

    memory = Memory.objects.get()
    assert (memory.agent_id, memory.content, memory.category, memory.importance) == (
        agent.pk,
        "A.",
        "fact",
        3,
    )


def test_one_is_changed_and_forgotten(console: Client, organization: Organization) -> None:
    memory = make_memory(make_agent(organization))
    values = {"content": "B.", "category": "fact", "importance": 3}

    console.post(address(Memory, memory.pk, "change_memory"), {**SUBMITTED, **values})
    memory.refresh_from_db()
    console.post(address(Memory, memory.pk, "delete_memory"), SUBMITTED)

    assert memory.content == "B."
    assert not Memory.objects.exists()
