"""No statement sees another organization's rows."""

from django.db import migrations

from kernel.row_security import row_security


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_roles_are_rows")]

    operations = [
        row_security("accounts_organization", column="id"),
        row_security("accounts_user"),
        row_security("accounts_apikey"),
        row_security("accounts_agentkey"),
        row_security("accounts_iprule"),
        row_security("accounts_role"),
        row_security("accounts_roleassignment"),
        row_security("accounts_totpdevice"),
        row_security("accounts_backupcode"),
        row_security("accounts_pastpassword"),
        row_security("accounts_session"),
    ]
