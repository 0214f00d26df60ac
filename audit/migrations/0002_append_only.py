"""Let nobody alter or remove an event: only its seal may be set, once."""

from django.db import migrations


class Migration(migrations.Migration):
    """A trigger, because a rule that only the code keeps is kept by the code's mistakes too."""

    dependencies = [("audit", "0001_initial")]
    operations = [
        migrations.RunSQL(
            sql="""
            CREATE FUNCTION audit_event_guard() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
              IF TG_OP = 'UPDATE' AND OLD.position IS NULL AND NEW.position IS NOT NULL
                AND to_jsonb(OLD) - '{position,previous_hash,hash}'::text[]
                  = to_jsonb(NEW) - '{position,previous_hash,hash}'::text[] THEN
                RETURN NEW;
              END IF;
              RAISE EXCEPTION '% on % is refused: its rows are append-only', TG_OP, TG_TABLE_NAME
                USING ERRCODE = 'insufficient_privilege';
            END $$;
            CREATE FUNCTION audit_chain_guard() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
              IF TG_OP = 'UPDATE' AND NEW.organization_id = OLD.organization_id
                AND NEW.position >= OLD.position THEN
                RETURN NEW;
              END IF;
              RAISE EXCEPTION '% on % is refused: a chain only grows', TG_OP, TG_TABLE_NAME
                USING ERRCODE = 'insufficient_privilege';
            END $$;
            CREATE TRIGGER audit_event_append_only BEFORE UPDATE OR DELETE ON audit_auditevent
              FOR EACH ROW EXECUTE FUNCTION audit_event_guard();
            CREATE TRIGGER audit_event_no_truncate BEFORE TRUNCATE ON audit_auditevent
              FOR EACH STATEMENT EXECUTE FUNCTION audit_event_guard();
            CREATE TRIGGER audit_chain_grows BEFORE UPDATE OR DELETE ON audit_auditchain
              FOR EACH ROW EXECUTE FUNCTION audit_chain_guard();
            CREATE TRIGGER audit_chain_no_truncate BEFORE TRUNCATE ON audit_auditchain
              FOR EACH STATEMENT EXECUTE FUNCTION audit_chain_guard();
            """,
            reverse_sql="""
            DROP TRIGGER audit_event_append_only ON audit_auditevent;
            DROP TRIGGER audit_event_no_truncate ON audit_auditevent;
            DROP TRIGGER audit_chain_grows ON audit_auditchain;
            DROP TRIGGER audit_chain_no_truncate ON audit_auditchain;
            DROP FUNCTION audit_event_guard();
            DROP FUNCTION audit_chain_guard();
            """,
        )
    ]
