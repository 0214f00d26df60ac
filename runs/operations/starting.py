"""Beginning a direct run: a task that somebody waits for."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection, transaction

from agents.choices import AgentKind, AgentStatus, ExecutionSource
from agents.errors import AgentNotFound
from agents.models import Agent
from agents.operations import catalogue
from agents.operations.effective import configuration_of
from breakers.choices import BreakerState, breaker_of
from breakers.errors import BreakerOpen
from breakers.operations import standings
from breakers.operations.calls import FORCED_SECONDS
from breakers.operations.standings import Shown
from breakers.selectors import list_breakers
from kernel import ids
from kernel.actors import Actor
from preferences.selectors import values
from runs import selectors
from runs.choices import LONGEST_SECONDS, MARGIN_SECONDS, MOST_AWAITED, RETRY_SECONDS
from runs.errors import (
    AgentNotStarted,
    ConversationNotFound,
    ProviderNotConfigured,
    TooManyRuns,
)
from tasks.models import Task
from tasks.operations import requests

READY: Final = (AgentStatus.IDLE, AgentStatus.BUSY)
WORDS: Final = 80
LOCK_SPACE: Final = 0x5255  # "RU": first key of the advisory locks


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a caller wants of an agent. `timeout_seconds` None is the agent's own and some more."""

    prompt: str
    conversation_id: UUID | None = None
    output_schema: dict[str, Any] | None = None
    timeout_seconds: int | None = None


@transaction.atomic
def start_run(
    *,
    agent: Agent,
    asked: Asked,
    source: ExecutionSource,
    user_id: UUID,
    actor: Actor,
    now: datetime,
) -> Task:
    """Make the task of a run; it ends by its deadline, and is not tried again.

    Raises ConversationNotFound, AgentDisabled, AgentNotStarted, ProviderNotConfigured, BreakerOpen
    or TooManyRuns.
    """
    if asked.conversation_id and not selectors.has_conversation(
        agent=agent, user_id=user_id, conversation_id=asked.conversation_id
    ):
        raise ConversationNotFound
    if agent.current_version is None:
        raise AgentNotFound
    configuration = configuration_of(version=agent.current_version, agent_name=agent.name)
    _check_started(agent)
    chain = [configuration.provider, *(name for name, _ in configuration.fallback_models)]
    _check_providers(agent.organization_id, chain, now)
    _check_number(agent.organization_id)
    limit = min(configuration.timeout_seconds + MARGIN_SECONDS, LONGEST_SECONDS)
    return requests.create_task(
        organization_id=agent.organization_id,
        values={
            "title": f"Run of {agent.name}: {_first_words(asked.prompt)}",
            "description": asked.prompt,
            "agent_id": agent.pk,
            "max_retries": 0,
            "deadline": now + timedelta(seconds=asked.timeout_seconds or limit),
            "source": source,
            "user_id": user_id,
            "output_schema": asked.output_schema,
            "conversation_id": asked.conversation_id or ids.new(),
        },
        actor=actor,
        now=now,
    )


def _first_words(prompt: str) -> str:
    return textwrap.shorten(prompt[: 4 * WORDS], WORDS, placeholder="…") or "…"


def _check_started(agent: Agent) -> None:
    if agent.kind != AgentKind.HOSTED:
        raise AgentNotStarted("The agent runs elsewhere and takes no direct runs.")
    if not agent.is_active or agent.status not in READY:
        raise AgentNotStarted


def _check_number(organization_id: UUID) -> None:
    """Refuse more than may be under way; runs of one organization are counted and written one after
    the other, so that two do not take the last place."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_SPACE, organization_id.int % 2**31]
        )
    if selectors.count_awaited(organization_id=organization_id) >= MOST_AWAITED:
        raise TooManyRuns(data={"limit": MOST_AWAITED, "retry_after_seconds": RETRY_SECONDS})


def _check_providers(organization_id: UUID, chain: Sequence[str], now: datetime) -> None:
    """Refuse what would only wait: no provider with a key, or a breaker before each that has."""
    if catalogue.OFFLINE in chain:
        return
    settings = values.read(organization_id=organization_id)
    usable = catalogue.usable_providers(chain, settings)
    if not usable:
        raise ProviderNotConfigured(catalogue.provider_refusal(chain[0], settings))
    names = {breaker_of(name) for name in usable}
    rows = list(list_breakers(organization_id=organization_id).filter(name__in=names))
    shut = {
        shown.breaker.name: seconds
        for shown in standings.show(breakers=rows, now=now)
        if (seconds := _shut_seconds(shown, now)) > 0
    }
    if shut.keys() == names:
        name, seconds = min(shut.items(), key=lambda each: each[1])
        raise BreakerOpen(
            f"The circuit breaker {name} is open. Try again in {seconds} s.",
            data={"retry_after_seconds": seconds, "breaker": name},
        )


def _shut_seconds(shown: Shown, now: datetime) -> int:
    """For how long a breaker lets nothing through; past its recovery time, calls are its trials."""
    if shown.state != BreakerState.OPEN:
        return 0
    if shown.is_forced or shown.standing.since is None:
        return FORCED_SECONDS
    recovers = timedelta(seconds=shown.breaker.recovery_timeout_seconds)
    left = shown.standing.since + recovers - now
    return max(0, -(-left // timedelta(seconds=1)))
