"""An index for each exact filter of the lists, in the lists' order."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # events are written all the time

    dependencies = [("audit", "0006_exports_and_checkpoints")]

    operations = [
        AddIndexConcurrently(
            model_name="auditevent",
            index=models.Index(
                fields=["organization_id", "occurred_at", "id"], name="audit_event_time"
            ),
        ),
        AddIndexConcurrently(
            model_name="auditevent",
            index=models.Index(
                fields=["organization_id", "actor_type", "actor_id", "occurred_at", "id"],
                name="audit_event_by_actor",
            ),
        ),
        AddIndexConcurrently(
            model_name="auditevent",
            index=models.Index(
                fields=["organization_id", "action", "occurred_at", "id"],
                name="audit_event_by_action",
            ),
        ),
        AddIndexConcurrently(
            model_name="auditevent",
            index=models.Index(
                fields=["organization_id", "resource_type", "resource_id", "occurred_at", "id"],
                name="audit_event_by_resource",
            ),
        ),
        AddIndexConcurrently(
            model_name="auditevent",
            index=models.Index(
                condition=~models.Q(request_id=""),
                fields=["organization_id", "request_id", "occurred_at", "id"],
                name="audit_event_by_request",
            ),
        ),
        AddIndexConcurrently(
            model_name="auditevent",
            index=models.Index(
                condition=~models.Q(status="success"),
                fields=["organization_id", "status", "occurred_at", "id"],
                name="audit_event_by_status",
            ),
        ),
        RemoveIndexConcurrently(model_name="auditevent", name="audit_event_newest"),
        RemoveIndexConcurrently(model_name="auditevent", name="audit_event_resource"),
    ]
