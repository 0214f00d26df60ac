"""Queue tables: vacuumed early, with room for a new version of a row beside the old."""

from django.db import migrations

from kernel.queue_table import queue_table


class Migration(migrations.Migration):
    dependencies = [("tasks", "0003_claims_by_agent")]

    operations = [
        queue_table(
            "tasks_task",
            fillfactor=70,
            autovacuum_vacuum_scale_factor=0.01,
            autovacuum_vacuum_threshold=500,
            autovacuum_analyze_scale_factor=0.05,
            autovacuum_vacuum_cost_delay=0,
        ),
        queue_table(
            "tasks_taskattempt",
            fillfactor=80,
            autovacuum_vacuum_scale_factor=0.01,
            autovacuum_vacuum_threshold=500,
            autovacuum_analyze_scale_factor=0.05,
            autovacuum_vacuum_cost_delay=0,
        ),
    ]
