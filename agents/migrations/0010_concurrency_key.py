from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agents", "0009_conversations")]

    operations = [
        migrations.AddField(
            model_name="agentexecution",
            name="concurrency_key",
            field=models.CharField(blank=True, db_default="", default="", max_length=128),
        ),
    ]
