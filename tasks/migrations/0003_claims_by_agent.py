"""Claims read agent by agent; leases are looked for among the few tasks in progress."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY
    dependencies = [("tasks", "0002_resumption")]

    operations = [
        RemoveIndexConcurrently(model_name="task", name="task_lease"),
        RemoveIndexConcurrently(model_name="task", name="task_claimable"),
        AddIndexConcurrently(
            model_name="task",
            index=models.Index(
                condition=models.Q(("status", "assigned")),
                fields=["agent", "priority_rank", "available_at", "id"],
                name="task_claimable",
            ),
        ),
    ]
