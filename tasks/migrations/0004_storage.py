"""Queue tables change all day: vacuumed early, with room for a new version beside the old.

The defaults wait until a fifth of a table is dead. Claims read those dead rows again and again.
"""

from django.db import migrations

STORAGE = {
    "tasks_task": {
        "fillfactor": 70,
        "autovacuum_vacuum_scale_factor": 0.01,
        "autovacuum_vacuum_threshold": 500,
        "autovacuum_analyze_scale_factor": 0.05,
        "autovacuum_vacuum_cost_delay": 0,
    },
    "tasks_taskattempt": {
        "fillfactor": 80,
        "autovacuum_vacuum_scale_factor": 0.01,
        "autovacuum_vacuum_threshold": 500,
        "autovacuum_analyze_scale_factor": 0.05,
        "autovacuum_vacuum_cost_delay": 0,
    },
}


class Migration(migrations.Migration):
    dependencies = [("tasks", "0003_claims_by_agent")]

    operations = [
        *(
            migrations.RunSQL(
                f"ALTER TABLE {name} SET ({', '.join(f'{k} = {v}' for k, v in options.items())})",
                reverse_sql=f"ALTER TABLE {name} RESET ({', '.join(options)})",
            )
            for name, options in STORAGE.items()
        ),
    ]
