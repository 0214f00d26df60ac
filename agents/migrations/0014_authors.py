"""Who else asked for what an agent does."""

import django.contrib.postgres.fields
from django.db import migrations, models
from django.db.models.expressions import RawSQL


class Migration(migrations.Migration):
    dependencies = [
        ("agents", "0013_replays"),
    ]

    operations = [
        migrations.AddField(
            model_name="agentexecution",
            name="author_ids",
            field=django.contrib.postgres.fields.ArrayField(
                models.UUIDField(), blank=True, db_default=RawSQL("'{}'::uuid[]", []), default=list
            ),
        ),
    ]
