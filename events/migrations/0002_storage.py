"""Queue tables: vacuumed early, with room for a new version of a row beside the old."""

from django.db import migrations

from kernel.queue_table import queue_table


class Migration(migrations.Migration):
    dependencies = [("events", "0001_initial")]

    operations = [
        queue_table(
            "events_outboxevent",
            autovacuum_vacuum_scale_factor=0.0,
            autovacuum_vacuum_threshold=1000,
            autovacuum_vacuum_insert_scale_factor=0.05,
            autovacuum_vacuum_cost_delay=0,
        ),
        queue_table(
            "events_outboxhead",
            fillfactor=10,
            autovacuum_vacuum_scale_factor=0.0,
            autovacuum_vacuum_threshold=200,
            autovacuum_vacuum_cost_delay=0,
        ),
    ]
