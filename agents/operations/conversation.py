"""What was said before in the conversation that a run belongs to."""

from typing import Final

from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart

from agents.choices import ExecutionStatus
from agents.models import AgentExecution
from agents.runtime.history import dump
from agents.runtime.spec import Message

TURNS: Final = 10  # messages come in pairs, so 20 of them (contract 004 C4)


def history_of(execution: AgentExecution) -> tuple[Message, ...]:
    """The last runs that succeeded before this one, as prompts and answers, the oldest first.

    Of the same person with the same agent, and not what others wrote into. Tool calls are left out
    with their results. A fork belongs to no conversation, and is told what the run was told that
    it goes on from, if that was the same person's.
    """
    run: AgentExecution | None = execution
    while run is not None and run.conversation_id is None:
        run = run.resumed_from
    if run is None or run.user_id != execution.user_id:
        return ()
    before = AgentExecution.objects.filter(
        organization_id=run.organization_id,
        conversation_id=run.conversation_id,
        agent_id=run.agent_id,
        user_id=run.user_id,
        author_ids__contained_by=[] if run.user_id is None else [run.user_id],
        status=ExecutionStatus.SUCCESS,
        attempt_id__isnull=False,
        created_at__lt=run.created_at,
    )
    said = before.order_by("-created_at", "-pk").values_list("input", "output")[:TURNS]
    return tuple(message for asked, told in reversed(said) for message in _pair(asked, told))


def _pair(asked: str, told: str) -> tuple[Message, Message]:
    return (
        dump(ModelRequest(parts=[UserPromptPart(asked)])),
        dump(ModelResponse(parts=[TextPart(told)])),
    )
