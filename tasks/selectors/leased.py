"""What runs now, by what limits count."""

from collections import Counter
from typing import Final
from uuid import UUID

from django.db import connection

from limits.choices import Bucket, LimitScope

# By the version that each run was claimed with; an override counts as it stands now.
_LEASED: Final = """
SELECT task.agent_id::text, coalesce(override.provider, version.llm_provider),
    task.concurrency_key, count(*)
FROM tasks_task AS task
JOIN agents_agent AS agent ON agent.id = task.agent_id
JOIN tasks_taskattempt AS attempt
    ON attempt.task_id = task.id AND attempt.number = task.attempt_count
JOIN agents_agentversion AS version ON version.id = attempt.version_id
LEFT JOIN agents_agentoverride AS override
    ON override.organization_id = agent.organization_id AND override.agent_name = agent.name
    AND override.deleted_at IS NULL
WHERE task.organization_id = %s AND task.status = 'in_progress'
AND task.lease_expires_at IS NOT NULL
GROUP BY 1, 2, 3
"""


def count_leased(organization_id: UUID) -> Counter[Bucket]:
    """How many tasks run under a lease, by agent, provider and key."""
    found: Counter[Bucket] = Counter()
    with connection.cursor() as cursor:
        cursor.execute(_LEASED, [organization_id])
        for agent_id, provider, key, number in cursor.fetchall():
            found[LimitScope.AGENT.value, agent_id] += number
            found[LimitScope.PROVIDER.value, provider] += number
            if key:
                found[LimitScope.KEY.value, key] += number
    return found
