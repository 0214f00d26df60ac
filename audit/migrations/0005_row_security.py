"""No statement sees another organization's rows."""

from django.db import migrations

from kernel.row_security import row_security


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_storage")]

    operations = [
        row_security("audit_auditevent"),
        row_security("audit_auditchain"),
    ]
