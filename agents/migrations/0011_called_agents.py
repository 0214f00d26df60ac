"""Runs of agents that other runs called."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agents", "0010_concurrency_key")]

    operations = [
        migrations.AddField(
            model_name="agentexecution",
            name="parent",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="agents.agentexecution",
            ),
        ),
        migrations.AddField(
            model_name="agentexecution",
            name="call_key",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="agentexecution",
            name="depth",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="agentexecution",
            name="below_tokens",
            field=models.PositiveBigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="agentexecution",
            name="below_cost_usd",
            field=models.DecimalField(db_default=0, decimal_places=8, default=0, max_digits=18),
        ),
    ]
