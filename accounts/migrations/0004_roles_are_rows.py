"""What a person is follows from their roles."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_first_roles")]

    operations = [migrations.RemoveField(model_name="user", name="role")]
