"""What a person is follows from their roles."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_first_roles")]

    # safe: no release has the code that reads the column.
    operations = [migrations.RemoveField(model_name="user", name="role")]
