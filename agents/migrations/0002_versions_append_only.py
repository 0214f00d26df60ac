"""Versions never change: an execution must show what it really ran with."""

from django.db import migrations

from kernel.append_only import append_only


class Migration(migrations.Migration):
    """Refuse UPDATE, DELETE and TRUNCATE of versions in the database."""

    dependencies = [("agents", "0001_initial")]
    operations = [append_only("agents_agentversion")]
