"""Only the sealer's own words may seal: no row is born sealed, no head points beside its chain."""

from django.db import migrations


class Migration(migrations.Migration):
    """The app's role could otherwise ruin a chain for good, by a head that is ahead of it."""

    dependencies = [("audit", "0002_append_only")]
    operations = [
        migrations.RunSQL(
            sql="""
            CREATE FUNCTION audit_event_birth() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
              IF NEW.position IS NULL AND NEW.hash = '' AND NEW.previous_hash = '' THEN
                RETURN NEW;
              END IF;
              RAISE EXCEPTION 'INSERT on % is refused: only the sealer seals', TG_TABLE_NAME
                USING ERRCODE = 'insufficient_privilege';
            END $$;
            CREATE TRIGGER audit_event_unsealed_birth BEFORE INSERT ON audit_auditevent
              FOR EACH ROW EXECUTE FUNCTION audit_event_birth();
            CREATE OR REPLACE FUNCTION audit_chain_guard() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
              IF TG_OP = 'UPDATE' AND NEW.organization_id = OLD.organization_id
                AND NEW.position >= OLD.position
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
            """,
            reverse_sql="""
            DROP TRIGGER audit_event_unsealed_birth ON audit_auditevent;
            DROP FUNCTION audit_event_birth();
            """,
        )
    ]
