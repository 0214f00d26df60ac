"""How often in a row a task was put off."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("tasks", "0014_authors"),
    ]

    operations = [
        migrations.AddField(
            model_name="task",
            name="postponed_count",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
    ]
