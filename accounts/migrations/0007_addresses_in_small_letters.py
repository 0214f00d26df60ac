"""E-mail addresses in small letters: a plain index finds them, under row-level security too."""

from django.db import migrations

import accounts.models.user


class Migration(migrations.Migration):
    dependencies = [("accounts", "0006_session_restriction")]

    operations = [
        migrations.RunSQL(
            "SET LOCAL hub.scope = '*'; UPDATE accounts_user SET email = lower(email)",
            migrations.RunSQL.noop,
        ),
        migrations.RemoveConstraint(model_name="user", name="user_email_unique"),
        migrations.AlterField(
            model_name="user",
            name="email",
            field=accounts.models.user.AddressField(max_length=254, unique=True),
        ),
    ]
