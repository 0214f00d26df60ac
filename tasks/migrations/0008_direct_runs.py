from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0008_confirmations"),
        ("agents", "0006_row_security"),
        ("tasks", "0007_postponed"),
    ]

    operations = [
        migrations.AddField(
            model_name="task",
            name="conversation_id",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="task",
            name="output_schema",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="task",
            name="source",
            field=models.CharField(
                choices=[("rest", "REST"), ("sse", "SSE"), ("queue", "Queue"), ("agent", "Agent")],
                db_default="queue",
                default="queue",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="user_id",
            field=models.UUIDField(blank=True, null=True),
        ),
    ]
