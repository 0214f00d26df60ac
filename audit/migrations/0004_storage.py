"""Queue tables change all day: vacuumed early, with room for a new version beside the old.

The defaults wait until a fifth of a table is dead. Claims read those dead rows again and again.
"""

from django.db import migrations

STORAGE = {
    "audit_auditevent": {
        "autovacuum_vacuum_scale_factor": 0.0,
        "autovacuum_vacuum_threshold": 5000,
        "autovacuum_vacuum_cost_delay": 0,
    },
    "audit_auditchain": {
        "fillfactor": 10,
        "autovacuum_vacuum_scale_factor": 0.0,
        "autovacuum_vacuum_threshold": 200,
        "autovacuum_vacuum_cost_delay": 0,
    },
}


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_guard_seals")]

    operations = [
        *(
            migrations.RunSQL(
                f"ALTER TABLE {name} SET ({', '.join(f'{k} = {v}' for k, v in options.items())})",
                reverse_sql=f"ALTER TABLE {name} RESET ({', '.join(options)})",
            )
            for name, options in STORAGE.items()
        ),
    ]
