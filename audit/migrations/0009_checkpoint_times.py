"""When a chain was signed last is said with a checkpoint alone, and never ahead of the clock."""

from django.db import migrations

HEAD = """
CREATE OR REPLACE FUNCTION audit_chain_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.organization_id = OLD.organization_id
    AND NEW.position >= OLD.position
    AND NEW.checkpointed_position BETWEEN OLD.checkpointed_position AND NEW.position
    {times}
    AND (NEW.position = OLD.position OR (
      EXISTS (
        SELECT 1 FROM audit_auditevent AS event
        WHERE event.organization_id = NEW.organization_id
          AND event.position = OLD.position + 1 AND event.previous_hash = OLD.hash
      )
      AND NEW.position - OLD.position = (
        SELECT count(*) FROM audit_auditevent AS event
        WHERE event.organization_id = NEW.organization_id
          AND event.position > OLD.position AND event.position <= NEW.position
      )
    ))
    AND EXISTS (
      SELECT 1 FROM audit_auditevent AS event
      WHERE event.organization_id = NEW.organization_id
        AND event.position = NEW.position AND event.hash = NEW.hash
    ) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION '% on % is refused: a chain only grows', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END $$;
"""
TIMES = """
    AND (NEW.checkpointed_at IS NOT DISTINCT FROM OLD.checkpointed_at OR (
      NEW.checkpointed_at <= clock_timestamp() + interval '1 minute'
      AND NEW.checkpointed_position > OLD.checkpointed_position
    ))
"""


class Migration(migrations.Migration):
    """Else the app's role could put the next signature off for ever."""

    dependencies = [("audit", "0008_contiguous_heads")]
    operations = [
        migrations.RunSQL(sql=HEAD.format(times=TIMES), reverse_sql=HEAD.format(times=""))
    ]
