from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY
    dependencies = [("tasks", "0010_concurrency_key")]

    operations = [
        AddIndexConcurrently(
            model_name="task",
            index=models.Index(
                condition=models.Q(("status", "assigned")),
                fields=["agent", "concurrency_key", "priority_rank", "available_at", "id"],
                name="task_claimable_by_key",
            ),
        ),
        AddIndexConcurrently(
            model_name="task",
            index=models.Index(
                condition=models.Q(("concurrency_key", ""), _negated=True),
                fields=["organization", "concurrency_key", "-created_at", "-id"],
                name="task_keyed",
            ),
        ),
    ]
