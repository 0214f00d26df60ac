"""No statement sees another organization's rows."""

from django.db import migrations

from kernel.row_security import row_security


class Migration(migrations.Migration):
    dependencies = [("knowledge", "0001_initial")]

    operations = [
        row_security("knowledge_knowledgeentry"),
        row_security("knowledge_knowledgechunk"),
    ]
