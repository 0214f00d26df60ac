"""Calls without an answer are booked; the daily limits of agents' versions are budgets.

On a new hub there are no agents yet; on one that is there, theirs become budgets at once.
"""

from typing import Final

from django.db import migrations, models

LIMITS: Final = """
DO $$
BEGIN
  IF to_regclass('agents_agentversion') IS NOT NULL THEN
    PERFORM set_config('hub.scope', '*', true);
    INSERT INTO cost_budget (id, created_at, updated_at, organization_id, source, scope, subject_id,
      period, limit_usd, is_hard, alert_thresholds, is_active)
    SELECT gen_random_uuid(), now(), now(), agent.organization_id, 'version', 'agent', agent.id,
      'day', version.daily_budget_usd, true, '{80,90,100}', true
    FROM agents_agent AS agent JOIN agents_agentversion AS version
      ON version.id = agent.current_version_id
    WHERE agent.deleted_at IS NULL AND version.daily_budget_usd > 0;
  END IF;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0008_confirmations"),
        ("cost", "0003_budgets"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="budget",
            name="budget_active_unique",
        ),
        migrations.AddField(
            model_name="budget",
            name="source",
            field=models.CharField(
                choices=[("person", "Set here"), ("version", "Agent's version")],
                db_default="person",
                default="person",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="reservation",
            name="agent_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="reservation",
            name="model",
            field=models.CharField(db_default="", max_length=255),
        ),
        migrations.AddField(
            model_name="reservation",
            name="provider",
            field=models.CharField(db_default="", max_length=64),
        ),
        migrations.AddField(
            model_name="reservation",
            name="task_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="reservation",
            name="user_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AlterField(
            model_name="usagerecord",
            name="ordinal",
            field=models.PositiveIntegerField(blank=True, default=0, null=True),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.UniqueConstraint(
                condition=models.Q(("is_active", True)),
                fields=("organization", "source", "scope", "subject_id", "period"),
                name="budget_active_once",
                nulls_distinct=False,
            ),
        ),
        migrations.RunSQL(LIMITS, reverse_sql=migrations.RunSQL.noop),
    ]
