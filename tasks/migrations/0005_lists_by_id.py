"""Lists are read in the order of an index even where many rows share their instant."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY
    dependencies = [("tasks", "0004_storage")]

    operations = [
        RemoveIndexConcurrently(model_name="task", name="task_newest"),
        AddIndexConcurrently(
            model_name="task",
            index=models.Index(fields=["organization", "-created_at", "-id"], name="task_newest"),
        ),
        RemoveIndexConcurrently(model_name="task", name="task_agent"),
        AddIndexConcurrently(
            model_name="task",
            index=models.Index(fields=["agent", "-created_at", "-id"], name="task_agent"),
        ),
    ]
