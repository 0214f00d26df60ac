"""Status of events, the second way of hashing, signed checkpoints."""

from django.db import migrations, models

import kernel.ids
from kernel.append_only import append_only
from kernel.row_security import row_security

# Only the newest way of hashing covers the status, so no row is sealed in the first one any more.
GUARDS = """
CREATE OR REPLACE FUNCTION audit_event_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.position IS NULL AND NEW.position IS NOT NULL
    AND NEW.hash_version >= 2
    AND to_jsonb(OLD) - '{position,previous_hash,hash,hash_version}'::text[]
      = to_jsonb(NEW) - '{position,previous_hash,hash,hash_version}'::text[] THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION '% on % is refused: its rows are append-only', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE FUNCTION audit_checkpoint_birth() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM audit_auditevent AS event
    WHERE event.organization_id = NEW.organization_id
      AND event.position = NEW.position AND event.hash = NEW.hash
  ) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'INSERT on % is refused: no sealed row has this hash', TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_checkpoint_of_a_row BEFORE INSERT ON audit_auditcheckpoint
  FOR EACH ROW EXECUTE FUNCTION audit_checkpoint_birth();
"""
GUARDS_BEFORE = """
DROP TRIGGER audit_checkpoint_of_a_row ON audit_auditcheckpoint;
DROP FUNCTION audit_checkpoint_birth();
CREATE OR REPLACE FUNCTION audit_event_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.position IS NULL AND NEW.position IS NOT NULL
    AND to_jsonb(OLD) - '{position,previous_hash,hash}'::text[]
      = to_jsonb(NEW) - '{position,previous_hash,hash}'::text[] THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION '% on % is refused: its rows are append-only', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0005_row_security")]

    operations = [
        migrations.AddField(
            model_name="auditchain",
            name="checkpointed_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="auditchain",
            name="checkpointed_position",
            field=models.BigIntegerField(db_default=0),
        ),
        migrations.AddField(
            model_name="auditevent",
            name="hash_version",
            field=models.PositiveSmallIntegerField(db_default=1, editable=False),
        ),
        migrations.AddField(
            model_name="auditevent",
            name="status",
            field=models.CharField(
                choices=[("success", "Success"), ("failure", "Failure"), ("denied", "Denied")],
                db_default="success",
                max_length=16,
            ),
        ),
        migrations.CreateModel(
            name="AuditCheckpoint",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=kernel.ids.new, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("organization_id", models.UUIDField()),
                ("position", models.BigIntegerField()),
                ("hash", models.CharField(max_length=64)),
                ("signed_at", models.DateTimeField()),
                ("key_id", models.CharField(max_length=16)),
                ("signature", models.CharField(max_length=88)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization_id", "position"), name="audit_checkpoint_position"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="AuditKey",
            fields=[
                (
                    "key_id",
                    models.CharField(max_length=16, primary_key=True, serialize=False),
                ),
                ("public_key", models.BinaryField(max_length=32)),
                ("created_at", models.DateTimeField()),
            ],
        ),
        append_only("audit_auditcheckpoint"),
        append_only("audit_auditkey"),
        row_security("audit_auditcheckpoint"),
        migrations.RunSQL(sql=GUARDS, reverse_sql=GUARDS_BEFORE),
    ]
