"""Reserving and booking as functions of the database: it plans them once a session.

Planned anew for each call, as statements are, the two would cost more than the rest of a model
turn (decision 0015). Who changes one makes another under a new number in a new migration: workers
of before and after an upgrade run side by side.
"""

from typing import Final

from django.db import migrations

# The organization's own price for a model; the most specific name with stars counts.
OWN_PRICE: Final = r"""
CREATE FUNCTION cost_own_price_1(p_organization_id uuid, p_provider text, p_model text)
RETURNS TABLE (input_usd numeric, output_usd numeric) LANGUAGE sql STABLE AS $$
  SELECT price.input_usd, price.output_usd FROM cost_modelprice AS price
  WHERE price.organization_id = p_organization_id AND price.provider = p_provider
    AND lower(p_model) LIKE replace(replace(lower(price.model), '_', '\_'), '*', '%')
  ORDER BY length(replace(price.model, '*', '')) DESC, length(price.model), price.model LIMIT 1
$$
"""
# The limits that a call has to keep, each with its period of now: those of day, month and total
# are given, each as when it starts and ends.
LIMITS: Final = """
CREATE FUNCTION cost_limits_1(
  p_organization_id uuid, p_agent_id uuid, p_task_id uuid, p_execution_id uuid,
  p_periods timestamptz[]
)
RETURNS TABLE (budget_id uuid, scope text, subject_id uuid, limit_usd numeric, is_hard boolean,
  starts_at timestamptz, ends_at timestamptz) LANGUAGE sql STABLE AS $$
  SELECT budget.id, budget.scope::text, subjects.subject_id, budget.limit_usd, budget.is_hard,
    CASE budget.period WHEN 'day' THEN p_periods[1] WHEN 'month' THEN p_periods[3]
      ELSE p_periods[5] END,
    CASE budget.period WHEN 'day' THEN p_periods[2] WHEN 'month' THEN p_periods[4]
      ELSE p_periods[6] END
  FROM (VALUES ('organization', p_organization_id), ('agent', p_agent_id), ('task', p_task_id),
    ('run', p_execution_id)) AS subjects (scope, subject_id)
  JOIN cost_budget AS budget ON budget.organization_id = p_organization_id AND budget.is_active
    AND budget.scope = subjects.scope
    AND (budget.subject_id = subjects.subject_id OR budget.subject_id IS NULL)
  WHERE subjects.subject_id IS NOT NULL
$$
"""
# Holds what a call costs at most in every window of its limits, if each has one and each hard one
# has room. One row without a budget, or one for each window that refuses.
RESERVE: Final = """
CREATE FUNCTION cost_reserve_1(
  p_lock_space int, p_lock_key int, p_organization_id uuid, p_agent_id uuid, p_task_id uuid,
  p_user_id uuid, p_execution_id uuid, p_ordinal int, p_provider text, p_model text,
  p_input_tokens bigint, p_output_tokens bigint, p_list_usd numeric, p_periods timestamptz[],
  p_now timestamptz
)
RETURNS TABLE (is_complete boolean, lacks_only_run boolean, is_doubled boolean, needed_usd numeric,
  is_counted boolean, budget_id uuid, scope text, limit_usd numeric, spent_usd numeric,
  reserved_usd numeric, ends_at timestamptz) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  -- Most calls are counted by nothing.
  IF NOT EXISTS (
    SELECT FROM cost_limits_1(p_organization_id, p_agent_id, p_task_id, p_execution_id, p_periods)
  ) THEN
    RETURN QUERY SELECT true, true, false, p_list_usd, false, NULL::uuid, NULL::text, NULL::numeric,
      NULL::numeric, NULL::numeric, NULL::timestamptz;
    RETURN;
  END IF;
  PERFORM pg_advisory_xact_lock_shared(p_lock_space, p_lock_key);
  RETURN QUERY
  WITH limits AS MATERIALIZED (
    SELECT * FROM cost_limits_1(
      p_organization_id, p_agent_id, p_task_id, p_execution_id, p_periods
    )
  ),
  bound AS MATERIALIZED (
    SELECT coalesce(
      (SELECT round((input_usd * p_input_tokens + output_usd * p_output_tokens) / 1000000, 8)
       FROM cost_own_price_1(p_organization_id, p_provider, p_model)),
      p_list_usd
    ) AS usd
  ),
  held AS (
    SELECT stored.id, stored.budget_id, stored.scope, limits.limit_usd, stored.spent_usd,
      stored.reserved_usd, stored.ends_at, limits.is_hard AND (bound.usd IS NULL
        OR bound.usd > 0 AND stored.spent_usd + stored.reserved_usd + bound.usd > limits.limit_usd
      ) AS is_refused
    FROM limits CROSS JOIN bound JOIN cost_budgetwindow AS stored
      ON stored.organization_id = p_organization_id AND stored.subject_id = limits.subject_id
      AND stored.starts_at = limits.starts_at AND stored.budget_id = limits.budget_id
    ORDER BY stored.id FOR UPDATE OF stored
  ),
  verdict AS (
    SELECT (SELECT count(*) FROM limits) AS expected,
      (SELECT count(*) FROM held) AS found,
      (SELECT count(*) FROM limits WHERE limits.scope <> 'run')
        = (SELECT count(*) FROM held WHERE held.scope <> 'run') AS lacks_only_run,
      EXISTS (SELECT FROM held WHERE is_refused) AS is_refused,
      EXISTS (
        SELECT FROM cost_reservation AS kept
        WHERE kept.execution_id = p_execution_id AND kept.ordinal = p_ordinal
      ) AS is_doubled
  ),
  moved AS (
    UPDATE cost_budgetwindow AS stored
    SET reserved_usd = stored.reserved_usd + coalesce(bound.usd, 0), updated_at = p_now
    FROM held, bound, verdict
    WHERE stored.id = held.id AND verdict.expected = verdict.found
      AND NOT verdict.is_refused AND NOT verdict.is_doubled
  ),
  kept AS (
    INSERT INTO cost_reservation (organization_id, execution_id, ordinal, agent_id, task_id,
      user_id, provider, model, amount_usd, window_ids, created_at)
    SELECT p_organization_id, p_execution_id, p_ordinal, p_agent_id, p_task_id, p_user_id,
      p_provider, p_model, coalesce(bound.usd, 0), (SELECT array_agg(held.id) FROM held), p_now
    FROM bound, verdict
    WHERE verdict.expected = verdict.found AND verdict.expected > 0
      AND NOT verdict.is_refused AND NOT verdict.is_doubled
  )
  SELECT verdict.expected = verdict.found, verdict.lacks_only_run, verdict.is_doubled, bound.usd,
    verdict.expected > 0, held.budget_id, held.scope::text, held.limit_usd, held.spent_usd, held.reserved_usd,
    held.ends_at
  FROM verdict CROSS JOIN bound LEFT JOIN held ON held.is_refused;
END $$
"""
# Writes the ledger's row, gives back what was held for the call, and has its windows count it. One
# row for each window that changed, or one; `cost_usd` is null for a call that was booked before.
BOOK: Final = """
CREATE FUNCTION cost_book_1(
  p_lock_space int, p_lock_key int, p_id uuid, p_organization_id uuid, p_agent_id uuid,
  p_task_id uuid, p_execution_id uuid, p_user_id uuid, p_ordinal int, p_kept_ordinal int,
  p_provider text, p_model text, p_input_tokens bigint, p_output_tokens bigint,
  p_cache_read_tokens bigint, p_cache_write_tokens bigint, p_list_usd numeric, p_is_listed boolean,
  p_is_measured boolean, p_is_estimate boolean, p_price_source text, p_own_source text,
  p_other_source text, p_now timestamptz
)
RETURNS TABLE (cost_usd numeric, is_priced boolean, price_source text, occurred_at timestamptz,
  held_usd numeric, window_id uuid, budget_id uuid, scope text, subject_id uuid,
  starts_at timestamptz, spent_usd numeric, alerted_percent int, alerted_limit_usd numeric,
  limit_usd numeric, alert_thresholds int[], is_hard boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  -- A statement of its own: the next one sees what was committed before it got the lock.
  PERFORM pg_advisory_xact_lock_shared(p_lock_space, p_lock_key);
  RETURN QUERY
  WITH own AS MATERIALIZED (
    SELECT * FROM cost_own_price_1(p_organization_id, p_provider, p_model)
  ),
  gone AS (
    DELETE FROM cost_reservation AS kept
    WHERE kept.execution_id = p_execution_id AND kept.ordinal = p_ordinal
    RETURNING kept.amount_usd, kept.window_ids, kept.created_at
  ),
  cost AS (
    SELECT coalesce(
      (SELECT round((input_usd * p_input_tokens + output_usd * p_output_tokens) / 1000000, 8)
       FROM own),
      p_list_usd
    ) AS usd
  ),
  booked AS (
    INSERT INTO cost_usagerecord (id, created_at, updated_at, organization_id, agent_id, task_id,
      execution_id, user_id, ordinal, provider, model, input_tokens, output_tokens,
      cache_read_tokens, cache_write_tokens, cost_usd, is_priced, price_source, occurred_at)
    SELECT p_id, p_now, p_now, p_organization_id, p_agent_id, p_task_id, p_execution_id, p_user_id,
      p_kept_ordinal, p_provider, p_model, p_input_tokens, p_output_tokens, p_cache_read_tokens,
      p_cache_write_tokens,
      CASE WHEN p_is_measured THEN cost.usd
        ELSE greatest(cost.usd, (SELECT amount_usd FROM gone)) END,
      p_is_estimate OR p_is_measured AND (p_is_listed OR EXISTS (SELECT FROM own)),
      CASE WHEN p_is_estimate OR NOT p_is_measured THEN p_other_source
        WHEN EXISTS (SELECT FROM own) THEN p_own_source ELSE p_price_source END,
      coalesce((SELECT created_at FROM gone), p_now)
    FROM cost
    WHERE NOT p_is_estimate OR (SELECT amount_usd FROM gone) > 0
    ON CONFLICT (execution_id, ordinal) DO NOTHING
    RETURNING cost_usagerecord.cost_usd, cost_usagerecord.is_priced,
      cost_usagerecord.price_source, cost_usagerecord.occurred_at
  ),
  facts AS MATERIALIZED (
    SELECT coalesce(booked.cost_usd, 0) AS cost_usd, booked.occurred_at,
      coalesce(gone.amount_usd, 0) AS amount_usd, coalesce(gone.window_ids, '{}') AS window_ids,
      array_remove(ARRAY[p_organization_id, p_agent_id, p_task_id, p_execution_id], NULL)
        AS subject_ids
    FROM (VALUES (1)) AS one LEFT JOIN booked ON true LEFT JOIN gone ON true
  ),
  touched AS (
    SELECT stored.id,
      CASE WHEN stored.id = ANY (facts.window_ids) THEN facts.amount_usd ELSE 0 END AS given_usd,
      CASE WHEN stored.subject_id = ANY (facts.subject_ids)
        AND stored.starts_at <= facts.occurred_at AND stored.ends_at > facts.occurred_at
        THEN facts.cost_usd ELSE 0 END AS spent_usd
    FROM facts JOIN cost_budgetwindow AS stored ON stored.organization_id = p_organization_id
      AND (stored.id = ANY (facts.window_ids) OR (facts.cost_usd > 0
        AND stored.subject_id = ANY (facts.subject_ids)
        AND stored.ends_at > facts.occurred_at AND stored.starts_at <= facts.occurred_at))
    ORDER BY stored.id FOR UPDATE OF stored
  ),
  moved AS (
    UPDATE cost_budgetwindow AS stored
    SET reserved_usd = stored.reserved_usd - touched.given_usd,
      spent_usd = stored.spent_usd + touched.spent_usd, updated_at = p_now
    FROM touched WHERE stored.id = touched.id
    RETURNING stored.id, stored.budget_id, stored.scope, stored.subject_id, stored.starts_at,
      stored.spent_usd, stored.alerted_percent, stored.alerted_limit_usd
  )
  SELECT booked.cost_usd, booked.is_priced, booked.price_source::text, booked.occurred_at,
    (SELECT amount_usd FROM gone), moved.id, moved.budget_id, moved.scope::text, moved.subject_id,
    moved.starts_at, moved.spent_usd, moved.alerted_percent::int, moved.alerted_limit_usd,
    budget.limit_usd, budget.alert_thresholds::int[], budget.is_hard
  FROM (VALUES (1)) AS one LEFT JOIN booked ON true LEFT JOIN moved ON true
  LEFT JOIN cost_budget AS budget ON budget.id = moved.budget_id AND budget.is_active;
END $$
"""


def function(create: str) -> migrations.RunSQL:
    """Makes one, and drops it on the way back."""
    name = create.partition("(")[0].strip().removeprefix("CREATE FUNCTION ")
    return migrations.RunSQL(create, f"DROP FUNCTION {name}")


class Migration(migrations.Migration):
    dependencies = [
        ("cost", "0004_unanswered_calls"),
    ]

    operations = [function(create) for create in (OWN_PRICE, LIMITS, RESERVE, BOOK)]
