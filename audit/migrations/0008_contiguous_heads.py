"""A chain's head moves along its rows, one after the other, and its checkpoint not past it."""

from django.db import migrations

HEAD = """
CREATE OR REPLACE FUNCTION audit_chain_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.organization_id = OLD.organization_id
    AND NEW.position >= OLD.position {more}
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
MORE = """
    AND NEW.checkpointed_position BETWEEN OLD.checkpointed_position AND NEW.position
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
"""


class Migration(migrations.Migration):
    """Else the app's role could lead it past rows that nobody would look at again."""

    dependencies = [("audit", "0007_indexes_of_lists")]
    operations = [migrations.RunSQL(sql=HEAD.format(more=MORE), reverse_sql=HEAD.format(more=""))]
