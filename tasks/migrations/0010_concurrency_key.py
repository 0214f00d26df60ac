from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("tasks", "0009_direct_runs_found")]

    operations = [
        migrations.AddField(
            model_name="task",
            name="concurrency_key",
            field=models.CharField(blank=True, db_default="", default="", max_length=128),
        ),
    ]
