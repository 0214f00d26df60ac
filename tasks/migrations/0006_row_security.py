"""No statement sees another organization's rows."""

from django.db import migrations

from kernel.row_security import row_security


class Migration(migrations.Migration):
    dependencies = [("tasks", "0005_lists_by_id")]

    operations = [
        row_security("tasks_task"),
        row_security("tasks_taskattempt"),
    ]
