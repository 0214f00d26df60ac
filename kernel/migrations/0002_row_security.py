"""No statement sees another organization's rows."""

from django.db import migrations

from kernel.row_security import row_security


class Migration(migrations.Migration):
    dependencies = [("kernel", "0001_initial")]

    operations = [
        row_security("kernel_storedanswer"),
    ]
