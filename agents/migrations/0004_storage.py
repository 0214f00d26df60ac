"""Queue tables: vacuumed early, with room for a new version of a row beside the old."""

from django.db import migrations

from kernel.queue_table import queue_table


class Migration(migrations.Migration):
    dependencies = [("agents", "0003_resumption")]

    operations = [
        queue_table(
            "agents_agent",
            fillfactor=40,
            autovacuum_vacuum_scale_factor=0.0,
            autovacuum_vacuum_threshold=200,
            autovacuum_vacuum_cost_delay=0,
        ),
        queue_table(
            "agents_agentexecution",
            fillfactor=80,
            autovacuum_vacuum_scale_factor=0.01,
            autovacuum_vacuum_threshold=500,
            autovacuum_analyze_scale_factor=0.05,
            autovacuum_vacuum_cost_delay=0,
        ),
        queue_table(
            "agents_executionstep",
            fillfactor=90,
            autovacuum_vacuum_scale_factor=0.01,
            autovacuum_vacuum_threshold=500,
            autovacuum_analyze_scale_factor=0.05,
            autovacuum_vacuum_cost_delay=0,
        ),
    ]
