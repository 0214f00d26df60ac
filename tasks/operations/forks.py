"""Tasks that go on from a step of a run that is over, or play it again."""

from datetime import datetime
from typing import Final
from uuid import UUID

from agents.choices import ExecutionSource
from agents.models import AgentExecution
from agents.operations.forks import Beginning
from agents.operations.replays import Rerun
from kernel.actors import Actor
from tasks.operations import requests

TITLE_LENGTH: Final = 500
REPLAYED: Final = "Replay: {}"


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
            "author_ids": _askers_of(origin),
            "output_schema": origin.output_schema,
            "resumes_execution_id": beginning.log_id,
            "pinned_version": beginning.version,
            "metadata": {"forked_from": str(origin.pk)},
        },
        actor=actor,
        now=now,
    )
    return task.pk


def begin_replay(rerun: Rerun, actor: Actor, now: datetime) -> UUID:
    """Write the task in the caller's transaction, and answer its id.

    Its description is what the run was asked. Raises Invalid for an agent that was deleted.
    """
    origin = rerun.origin
    title = REPLAYED.format(origin.input.partition("\n")[0])
    task = requests.create_task(
        organization_id=origin.organization_id,
        values={
            "title": title[:TITLE_LENGTH],
            "description": origin.input,
            "agent_id": origin.agent_id,
            "user_id": rerun.user_id,
            "author_ids": _askers_of(origin),
            "source": ExecutionSource.REPLAY,
            "output_schema": origin.output_schema,
            "pinned_version": rerun.version,
            "metadata": {"replay_of": str(origin.pk)},
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


def _askers_of(origin: AgentExecution) -> list[UUID]:
    """Whose words the new task has: they asked for what it does, too."""
    return [user_id for user_id in (origin.user_id, *origin.author_ids) if user_id is not None]
