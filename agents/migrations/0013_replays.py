"""Runs that are played again."""

import django.db.models.deletion
from django.db import migrations, models

import kernel.clock
import kernel.ids
from kernel.row_security import row_security


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0008_confirmations"),
        ("agents", "0012_calls_by_caller"),
    ]

    operations = [
        migrations.AlterField(
            model_name="agentexecution",
            name="source",
            field=models.CharField(
                choices=[
                    ("rest", "REST"),
                    ("sse", "SSE"),
                    ("queue", "Queue"),
                    ("agent", "Agent"),
                    ("replay", "Replay"),
                ],
                default="queue",
                max_length=16,
            ),
        ),
        migrations.CreateModel(
            name="ExecutionReplay",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=kernel.ids.new, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(default=kernel.clock.now, editable=False)),
                ("updated_at", models.DateTimeField(default=kernel.clock.now, editable=False)),
                ("task_id", models.UUIDField(unique=True)),
                (
                    "tools",
                    models.CharField(
                        choices=[("recorded", "Recorded"), ("live", "Live")],
                        default="recorded",
                        max_length=16,
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
                (
                    "origin",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="agents.agentexecution",
                    ),
                ),
            ],
        ),
        row_security("agents_executionreplay"),
    ]
