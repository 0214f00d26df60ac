"""Booking a call in a message of its own, if nothing has to be told of it (decision 0015)."""

from typing import Final

from django.db import migrations

# As `cost_book_1`, and then the transaction may end with this message. Where more follows (a
# threshold, an overrun, a call that was booked before) nothing is booked, and there is no row: the
# caller books in a transaction in which it does the rest. What it asks of each window is what
# `cost.operations.alerts` does.
BOOK_ALONE: Final = """
CREATE FUNCTION cost_book_alone_1(
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
  RETURN QUERY
  WITH booked AS MATERIALIZED (
    SELECT * FROM cost_book_1(p_lock_space, p_lock_key, p_id, p_organization_id, p_agent_id,
      p_task_id, p_execution_id, p_user_id, p_ordinal, p_kept_ordinal, p_provider, p_model,
      p_input_tokens, p_output_tokens, p_cache_read_tokens, p_cache_write_tokens, p_list_usd,
      p_is_listed, p_is_measured, p_is_estimate, p_price_source, p_own_source, p_other_source,
      p_now)
  )
  SELECT * FROM booked WHERE NOT EXISTS (
    SELECT FROM booked AS told
    WHERE told.cost_usd IS NULL OR told.cost_usd > told.held_usd
      OR told.is_hard AND told.spent_usd > told.limit_usd
        AND told.spent_usd - told.cost_usd <= told.limit_usd
      OR told.spent_usd > 0 AND EXISTS (
        SELECT FROM unnest(told.alert_thresholds) AS threshold
        WHERE 100 * told.spent_usd >= told.limit_usd * threshold
          AND (threshold > told.alerted_percent OR told.alerted_limit_usd <> told.limit_usd
            AND (told.limit_usd = 0
              OR told.limit_usd * threshold > 100 * (told.spent_usd - told.cost_usd)))
      )
  );
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'HB001';
  END IF;
EXCEPTION WHEN SQLSTATE 'HB001' THEN
  RETURN;  -- what was written is undone
END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("cost", "0005_statements"),
    ]

    operations = [migrations.RunSQL(BOOK_ALONE, "DROP FUNCTION cost_book_alone_1")]
