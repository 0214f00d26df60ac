"""No statement sees another organization's rows."""

from django.db import migrations

from kernel.row_security import row_security


class Migration(migrations.Migration):
    dependencies = [("events", "0002_storage")]

    operations = [
        row_security("events_outboxevent"),
    ]
