"""Queue tables: vacuumed early, with room for a new version of a row beside the old."""

from django.db import migrations

from kernel.queue_table import queue_table


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_guard_seals")]

    operations = [
        queue_table(
            "audit_auditevent",
            autovacuum_vacuum_scale_factor=0.0,
            autovacuum_vacuum_threshold=5000,
            autovacuum_vacuum_cost_delay=0,
        ),
        queue_table(
            "audit_auditchain",
            fillfactor=10,
            autovacuum_vacuum_scale_factor=0.0,
            autovacuum_vacuum_threshold=200,
            autovacuum_vacuum_cost_delay=0,
        ),
    ]
