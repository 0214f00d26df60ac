"""Confirmations are counted on their own; passwords that somebody else set."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_addresses_in_small_letters")]

    operations = [
        migrations.AddField(
            model_name="user",
            name="failed_confirmations",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="user",
            name="confirm_locked_until",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="user",
            name="password_is_temporary",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
