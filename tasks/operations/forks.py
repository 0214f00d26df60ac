"""Tasks that go on from a step of a run that is over."""

from datetime import datetime
from typing import Final
from uuid import UUID

from agents.operations.forks import Beginning
from kernel.actors import Actor
from tasks.operations import requests

TITLE_LENGTH: Final = 500


def begin(beginning: Beginning, actor: Actor, now: datetime) -> UUID:
    """Write the task in the caller's transaction, and answer its id.

    What the agent is asked is what the run was asked, and the instructions. Raises Invalid for an
    agent that was deleted.
    """
    origin = beginning.origin
    title, description = _parts(origin.input)
    task = requests.create_task(
        organization_id=origin.organization_id,
        values={
            "title": title,
            "description": description,
            "instructions": beginning.instructions,
            "agent_id": origin.agent_id,
            "user_id": beginning.user_id,
            "output_schema": origin.output_schema,
            "resumes_execution_id": beginning.log_id,
            "pinned_version": beginning.version,
            "metadata": {"forked_from": str(origin.pk)},
        },
        actor=actor,
        now=now,
    )
    return task.pk


def _parts(asked: str) -> tuple[str, str]:
    """Title and description that `Task.prompt` puts together to the same text again."""
    title, _, rest = asked.partition("\n\n")
    if title and len(title) <= TITLE_LENGTH:
        return title, rest
    return "A run, from one of its steps", asked
