from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # CONCURRENTLY
    dependencies = [("agents", "0011_called_agents")]

    operations = [
        AddIndexConcurrently(
            model_name="agentexecution",
            index=models.Index(
                condition=models.Q(("parent__isnull", False)),
                fields=["parent"],
                name="execution_parent",
            ),
        ),
        AddIndexConcurrently(
            model_name="agentexecution",
            index=models.Index(
                condition=models.Q(("call_key__isnull", False)),
                fields=["call_key"],
                name="execution_call",
            ),
        ),
    ]
