"""Lists are read in the order of an index even where many rows share their instant."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY
    dependencies = [("agents", "0004_storage")]

    operations = [
        RemoveIndexConcurrently(model_name="agentexecution", name="execution_newest"),
        AddIndexConcurrently(
            model_name="agentexecution",
            index=models.Index(
                fields=["organization", "-created_at", "-id"], name="execution_newest"
            ),
        ),
        RemoveIndexConcurrently(model_name="agentexecution", name="execution_agent"),
        AddIndexConcurrently(
            model_name="agentexecution",
            index=models.Index(fields=["agent", "-created_at", "-id"], name="execution_agent"),
        ),
    ]
