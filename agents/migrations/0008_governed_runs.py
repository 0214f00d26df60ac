"""What runs are held by, what shape answers have, and the whole outputs of tools."""

import django.db.models.deletion
from django.db import migrations, models

import kernel.clock
import kernel.ids
from kernel.row_security import row_security


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0008_confirmations"),
        ("agents", "0007_overrides"),
    ]

    operations = [
        migrations.CreateModel(
            name="StepOutput",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=kernel.ids.new, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created_at", models.DateTimeField(default=kernel.clock.now, editable=False)),
                ("updated_at", models.DateTimeField(default=kernel.clock.now, editable=False)),
                ("text", models.TextField()),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
                (
                    "step",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="whole_output",
                        to="agents.executionstep",
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.AddField(
            model_name="agentexecution",
            name="conversation_id",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="agentexecution",
            name="held_by",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="agentexecution",
            name="output_schema",
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="executionstep",
            name="is_cut",
            field=models.BooleanField(db_default=False, default=False),
        ),
        row_security("agents_stepoutput"),
    ]
