from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY
    dependencies = [("agents", "0008_governed_runs")]

    operations = [
        AddIndexConcurrently(
            model_name="agentexecution",
            index=models.Index(
                condition=models.Q(("conversation_id__isnull", False)),
                fields=["conversation_id", "-created_at"],
                name="execution_conversation",
            ),
        ),
    ]
