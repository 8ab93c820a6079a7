-- First attempts are made from the inbox: their results are their only rows.

-- How often the row was leased. One that is leased again may have results already.
ALTER TABLE webhook_event_inbox ADD COLUMN leases INTEGER NOT NULL DEFAULT 0;

-- When the webhook was last switched off. An event whose first attempt was interrupted is kept for
-- webhooks that were paused since it came.
ALTER TABLE webhooks ADD COLUMN paused_at TIMESTAMPTZ;

CREATE FUNCTION webhook_paused() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.paused_at := clock_timestamp();
    RETURN NEW;
END $$;

CREATE TRIGGER webhooks_paused BEFORE UPDATE OF is_active ON webhooks
    FOR EACH ROW WHEN (OLD.is_active AND NOT NEW.is_active)
    EXECUTE FUNCTION webhook_paused();

DO $$
DECLARE
    tables CONSTANT name := (SELECT n.nspname
                               FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                              WHERE c.oid = 'webhook_event_inbox'::regclass::oid);
BEGIN
    EXECUTE pg_catalog.format('ALTER FUNCTION %s SET search_path = %I, pg_temp',
                   'webhook_paused()'::regprocedure, tables);
END $$;

INSERT INTO webhookd_migrations (name) VALUES ('0011_first_attempts');
