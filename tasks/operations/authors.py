"""Who asks for what an agent does: all who wrote what it is told, or let it begin again.

None of them may approve it, and its tools are those that each of them may use (contract 003 B22).
"""

from typing import Final

from accounts.selectors import people
from kernel.actors import Actor
from tasks.choices import AWAITED
from tasks.models import Task

# What an agent does follows from these.
WRITTEN: Final = frozenset(
    {"title", "description", "instructions", "agent_id", "required_tools", "output_schema"}
)


def add_author(task: Task, actor: Actor) -> None:
    """Have the person behind `actor` ask for the locked task, too; the caller saves it."""
    person = people.find_person(actor=actor)
    if person is not None and person not in {task.user_id, *task.author_ids}:
        task.author_ids = [*task.author_ids, person]


def has_own_words(task: Task, actor: Actor) -> bool:
    """Whether the task is what one person says to an agent, and `actor` is not they: put into it by
    another one, it would stay in their conversation as if they had said it."""
    is_said = task.conversation_id is not None or task.source in AWAITED
    return is_said and people.find_person(actor=actor) != task.user_id
