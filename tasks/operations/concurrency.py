"""Claims under limits: how many tasks of an agent, a provider or a key run at once.

What runs is counted from the leases, inside the claim, while the rules that apply are locked. So
two claims count one after the other, and a worker that dies gives its places back with its lease.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias
from uuid import UUID

from django.db import connection

from agents.models import Agent, AgentOverride
from limits.choices import EACH, Bucket, LimitScope
from limits.models import LimitRule
from limits.selectors import pick_rules
from tasks.selectors.leased import count_leased

Held: TypeAlias = Mapping[tuple[UUID, Bucket], LimitRule | None]
"""The rule of each bucket of an organization; None while somebody else holds it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A task that looked claimable: its urgency (rank, since when, id), and what it counts for if
    its organization limits what runs at once."""

    order: tuple[int, datetime, UUID]
    agent_id: UUID
    organization_id: UUID
    provider: str = ""
    key: str = ""
    is_limited: bool = False
    is_pinned: bool = False

    @property
    def task_id(self) -> UUID:
        return self.order[2]

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """All but the empty ones: tasks without a key are not counted by any."""
        found = (
            (LimitScope.AGENT.value, str(self.agent_id)),
            (LimitScope.PROVIDER.value, self.provider),
            (LimitScope.KEY.value, self.key),
        )
        return tuple(bucket for bucket in found if bucket[1])


# What is allowed for one bucket; null without a rule.
_MOST: Final = """
    SELECT rule.max_concurrent AS most FROM limits_limitrule AS rule
    WHERE rule.organization_id = {organization} AND rule.scope = '{scope}'
    AND rule.name IN ({name}, '*') AND {name} <> ''
    ORDER BY rule.name = '*' LIMIT 1
"""
# As `claims._CLAIMABLE`, of organizations that limit what runs at once, and only what the limits
# have room for as it looks now. Where keys are limited each agent's are walked one by one, a step
# of the index each: a full one costs nothing, however much waits for it. What is most urgent of all
# is always among what is found, so nothing waits for ever behind a limit of something else. A task
# with a version of its own counts for that one's provider, for which `fit` alone looks for room.
_ASKED: Final = f"""
WITH RECURSIVE running AS (
    SELECT agent_id, count(*) AS number FROM tasks_task
    WHERE status = 'in_progress' GROUP BY agent_id
), leased AS MATERIALIZED (
    SELECT task.organization_id, task.agent_id,
        coalesce(override.provider, version.llm_provider) AS provider,
        task.concurrency_key, count(*) AS number
    FROM tasks_task AS task
    JOIN agents_agent AS agent ON agent.id = task.agent_id
    JOIN tasks_taskattempt AS attempt
        ON attempt.task_id = task.id AND attempt.number = task.attempt_count
    JOIN agents_agentversion AS version ON version.id = attempt.version_id
    LEFT JOIN agents_agentoverride AS override
        ON override.organization_id = agent.organization_id AND override.agent_name = agent.name
        AND override.deleted_at IS NULL
    WHERE task.status = 'in_progress' AND task.lease_expires_at IS NOT NULL
    AND task.organization_id IN (
        SELECT organization_id FROM limits_limitrule WHERE max_concurrent IS NOT NULL
    )
    GROUP BY 1, 2, 3, 4
), used AS MATERIALIZED (
    SELECT organization_id, 'agent' AS scope, agent_id::text AS name, sum(number)::bigint AS number
    FROM leased GROUP BY 1, 3
    UNION ALL
    SELECT organization_id, 'provider', provider, sum(number)::bigint FROM leased GROUP BY 1, 3
    UNION ALL
    SELECT organization_id, 'key', concurrency_key, sum(number)::bigint FROM leased GROUP BY 1, 3
), started AS (
    SELECT agent.id, agent.organization_id,
        coalesce(override.provider, version.llm_provider) AS provider,
        override.provider AS forced_provider,
        version.max_concurrent_tasks - coalesce(running.number, 0) AS room,
        agent.organization_id IN (
            SELECT organization_id FROM limits_limitrule
            WHERE max_concurrent IS NOT NULL AND scope = 'key'
        ) AS is_keyed
    FROM agents_agent AS agent
    JOIN agents_agentversion AS version ON version.id = agent.current_version_id
    LEFT JOIN running ON running.agent_id = agent.id
    LEFT JOIN agents_agentoverride AS override
        ON override.organization_id = agent.organization_id AND override.agent_name = agent.name
        AND override.deleted_at IS NULL
    WHERE agent.is_active AND agent.deleted_at IS NULL AND agent.kind = 'hosted'
    AND agent.status IN ('idle', 'busy') AND coalesce(override.enabled, true)
    AND agent.organization_id IN (
        SELECT organization_id FROM limits_limitrule WHERE max_concurrent IS NOT NULL
    )
), ready AS MATERIALIZED (
    SELECT started.id, started.organization_id, started.provider, started.forced_provider,
        started.is_keyed,
        least(started.room, by_agent.most - coalesce(of_agent.number, 0), %(limit)s) AS room,
        by_provider.most - coalesce(of_provider.number, 0) AS provider_room
    FROM started
    LEFT JOIN used AS of_agent ON of_agent.organization_id = started.organization_id
        AND of_agent.scope = 'agent' AND of_agent.name = started.id::text
    LEFT JOIN used AS of_provider ON of_provider.organization_id = started.organization_id
        AND of_provider.scope = 'provider' AND of_provider.name = started.provider
    LEFT JOIN LATERAL ({
    _MOST.format(organization="started.organization_id", scope="agent", name="started.id::text")
}) AS by_agent ON true
    LEFT JOIN LATERAL ({
    _MOST.format(organization="started.organization_id", scope="provider", name="started.provider")
}) AS by_provider ON true
    WHERE least(
        started.room, by_agent.most - coalesce(of_agent.number, 0),
        by_provider.most - coalesce(of_provider.number, 0)
    ) > 0
), walked(agent_id, key) AS (
    SELECT ready.id, (
        SELECT min(task.concurrency_key) FROM tasks_task AS task
        WHERE task.agent_id = ready.id AND task.status = 'assigned'
    ) FROM ready WHERE ready.is_keyed
    UNION ALL
    SELECT walked.agent_id, (
        SELECT min(task.concurrency_key) FROM tasks_task AS task
        WHERE task.agent_id = walked.agent_id AND task.status = 'assigned'
        AND task.concurrency_key > walked.key
    ) FROM walked WHERE walked.key IS NOT NULL
), keyed AS (
    SELECT walked.agent_id, walked.key, by_key.most - coalesce(used.number, 0) AS room
    FROM walked JOIN ready ON ready.id = walked.agent_id
    LEFT JOIN LATERAL ({
    _MOST.format(organization="ready.organization_id", scope="key", name="walked.key")
}) AS by_key ON true
    LEFT JOIN used ON used.organization_id = ready.organization_id
        AND used.scope = 'key' AND used.name = walked.key
    WHERE walked.key IS NOT NULL
), found AS (
    SELECT waiting.*, ready.id AS agent_id, ready.organization_id, ready.provider,
        ready.forced_provider, ready.room AS agent_room, ready.provider_room,
        NULL::bigint AS key_room
    FROM ready CROSS JOIN LATERAL (
        SELECT task.id, task.priority_rank, task.available_at, task.concurrency_key,
            task.pinned_version_id
        FROM tasks_task AS task
        WHERE task.agent_id = ready.id AND task.status = 'assigned'
        AND task.available_at <= %(now)s AND (task.deadline IS NULL OR task.deadline > %(now)s)
        ORDER BY task.priority_rank, task.available_at, task.id
        LIMIT ready.room
    ) AS waiting WHERE NOT ready.is_keyed
    UNION ALL
    SELECT waiting.*, ready.id, ready.organization_id, ready.provider,
        ready.forced_provider, ready.room, ready.provider_room, keyed.room
    FROM keyed JOIN ready ON ready.id = keyed.agent_id
    CROSS JOIN LATERAL (
        SELECT task.id, task.priority_rank, task.available_at, task.concurrency_key,
            task.pinned_version_id
        FROM tasks_task AS task
        WHERE task.agent_id = ready.id AND task.status = 'assigned'
        AND task.concurrency_key = keyed.key
        AND task.available_at <= %(now)s AND (task.deadline IS NULL OR task.deadline > %(now)s)
        ORDER BY task.priority_rank, task.available_at, task.id
        LIMIT greatest(0, least(ready.room, keyed.room))
    ) AS waiting
), candidates AS (
    SELECT found.id, found.priority_rank, found.available_at, found.concurrency_key,
        found.agent_id, found.organization_id, found.agent_room, found.key_room,
        pinned.id IS NOT NULL AS is_pinned,
        coalesce(found.forced_provider, pinned.llm_provider, found.provider) AS provider,
        CASE WHEN found.forced_provider IS NULL AND pinned.llm_provider <> found.provider
            THEN NULL ELSE found.provider_room END AS provider_room
    FROM found LEFT JOIN agents_agentversion AS pinned
        ON pinned.id = found.pinned_version_id AND pinned.agent_id = found.agent_id
), placed AS (
    SELECT *,
        row_number() OVER (PARTITION BY agent_id ORDER BY priority_rank, available_at, id)
            AS agent_place,
        row_number() OVER (
            PARTITION BY organization_id, provider ORDER BY priority_rank, available_at, id
        ) AS provider_place,
        row_number() OVER (
            PARTITION BY organization_id, concurrency_key ORDER BY priority_rank, available_at, id
        ) AS key_place
    FROM candidates
)
SELECT priority_rank, available_at, id, agent_id, organization_id, provider, concurrency_key,
    is_pinned, set_config('lock_timeout', '1s', true)
FROM placed
WHERE agent_place <= agent_room
AND (provider_room IS NULL OR provider_place <= provider_room)
AND (key_room IS NULL OR key_place <= key_room)
ORDER BY priority_rank, available_at, id LIMIT %(limit)s
"""  # noqa: S608 - of constants


def ask(*, limit: int, now: datetime) -> list[Asked]:
    """Up to `limit` tasks that agents and limits have room for, the most urgent first.

    Of organizations that limit what runs at once.
    """
    with connection.cursor() as cursor:
        cursor.execute(_ASKED, {"limit": limit, "now": now})
        rows = cursor.fetchall()
    return [
        Asked(
            order=row[:3],
            agent_id=row[3],
            organization_id=row[4],
            provider=row[5],
            key=row[6],
            is_limited=True,
            is_pinned=row[7],
        )
        for row in rows
    ]


def lock_rules(*, asked: Sequence[Asked], skip_locked: bool) -> Held:
    """The rules that limit what of `asked` runs at once, locked in the order of their ids.

    With `skip_locked` one that somebody else holds lets nothing pass. Call it before agents are
    locked: who waits here for another claim then holds up nobody else.
    """
    seen = _applying(asked)
    rows = LimitRule.objects.select_for_update(no_key=True, skip_locked=skip_locked)
    wanted = {rule.pk for rule in seen.values()}
    locked = {rule.pk: rule for rule in rows.filter(pk__in=wanted).order_by("pk")} if wanted else {}
    return {bucket: locked.get(rule.pk) for bucket, rule in seen.items()}


def fit(*, asked: Sequence[Asked], rules: Held, agents: Mapping[UUID, Agent]) -> list[Asked]:
    """Those of `asked` for which the locked rules have room, the first come first.

    A task whose agent (locked, too) has gone to another provider since is left to the next claim,
    which locks that one's rule.
    """
    if not rules:
        return list(asked)
    used = {each: count_leased(each) for each in {organization_id for organization_id, _ in rules}}
    providers = _providers(agents.values())
    fitting = []
    for each in asked:
        counted = used.get(each.organization_id)
        if counted is None:
            fitting.append(each)
        elif _goes_by(each, providers) and _has_room(each, rules, counted):
            counted.update(each.buckets)
            fitting.append(each)
    return fitting


def _has_room(asked: Asked, rules: Held, counted: Counter[Bucket]) -> bool:
    for bucket in asked.buckets:
        key = (asked.organization_id, bucket)
        if key not in rules:
            continue
        rule = rules[key]
        if rule is None:
            return False
        if rule.max_concurrent is not None and counted[bucket] >= rule.max_concurrent:
            return False
    return True


def _applying(asked: Sequence[Asked]) -> dict[tuple[UUID, Bucket], LimitRule]:
    buckets: dict[UUID, dict[Bucket, None]] = {}
    for each in asked:
        buckets.setdefault(each.organization_id, {}).update(dict.fromkeys(each.buckets))
    names = {name for of_one in buckets.values() for _, name in of_one}
    rules: dict[UUID, list[LimitRule]] = {}
    for rule in LimitRule.objects.filter(organization_id__in=buckets, name__in=[*names, EACH]):
        rules.setdefault(rule.organization_id, []).append(rule)
    return {
        (organization_id, bucket): rule
        for organization_id, own in rules.items()
        for bucket, rule in pick_rules(own, [*buckets[organization_id]]).items()
        if rule.max_concurrent is not None
    }


def _goes_by(asked: Asked, providers: Mapping[UUID, tuple[str, str | None]]) -> bool:
    """Whether its run would still ask the provider that it was found with."""
    own, forced = providers.get(asked.agent_id, ("", None))
    if forced is not None:
        return forced == asked.provider
    return asked.is_pinned or own == asked.provider


def _providers(agents: Collection[Agent]) -> dict[UUID, tuple[str, str | None]]:
    """What each agent's version says now, and what its override says instead."""
    overrides = {
        (override.organization_id, override.agent_name): override.provider
        for override in AgentOverride.objects.filter(
            organization_id__in={agent.organization_id for agent in agents},
            agent_name__in={agent.name for agent in agents},
            deleted_at=None,
        ).only("organization", "agent_name", "provider")
    }
    return {
        agent.pk: (
            agent.current_version.llm_provider if agent.current_version else "",
            overrides.get((agent.organization_id, agent.name)),
        )
        for agent in agents
    }
