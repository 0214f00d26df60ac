"""Tasks that play a run again."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tasks", "0012_pinned_version"),
    ]

    operations = [
        migrations.AlterField(
            model_name="task",
            name="source",
            field=models.CharField(
                choices=[
                    ("rest", "REST"),
                    ("sse", "SSE"),
                    ("queue", "Queue"),
                    ("agent", "Agent"),
                    ("replay", "Replay"),
                ],
                db_default="queue",
                default="queue",
                max_length=16,
            ),
        ),
    ]
