"""No statement sees another organization's rows."""

from django.db import migrations

from kernel.row_security import row_security


class Migration(migrations.Migration):
    dependencies = [("agents", "0005_lists_by_id")]

    operations = [
        row_security("agents_agent"),
        row_security("agents_agentversion"),
        row_security("agents_agentexecution"),
        row_security("agents_executionstep"),
    ]
