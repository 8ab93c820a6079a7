-- While an endpoint is failing, the attempts of all daemons together are spaced out.

-- When it began to fail. Attempts that began earlier never pause it.
ALTER TABLE webhooks ADD COLUMN failing_since TIMESTAMPTZ;
-- Before this time nothing is sent to it. While a probe is under way: the end of its lease.
ALTER TABLE webhooks ADD COLUMN next_probe_at TIMESTAMPTZ;
-- How many attempts that began since `failing_since` have failed.
ALTER TABLE webhooks ADD COLUMN failed_probes INTEGER NOT NULL DEFAULT 0;
-- Pending attempts that a person asked for: they do not wait for `next_probe_at`.
ALTER TABLE webhooks ADD COLUMN requested_attempts UUID[];

CREATE FUNCTION webhooks_end_of_spacing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.failing_since := NULL;
    NEW.next_probe_at := NULL;
    NEW.failed_probes := 0;
    NEW.requested_attempts := NULL;
    RETURN NEW;
END $$;

-- Part of the fresh start that a webhook has when it is resumed.
CREATE TRIGGER webhooks_end_of_spacing BEFORE UPDATE OF is_active ON webhooks
    FOR EACH ROW WHEN (NEW.is_active AND NOT OLD.is_active)
    EXECUTE FUNCTION webhooks_end_of_spacing();

DO $$
DECLARE
    tables CONSTANT name := (SELECT n.nspname
                               FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                              WHERE c.oid = 'webhook_event_inbox'::regclass::oid);
BEGIN
    EXECUTE pg_catalog.format('ALTER FUNCTION %s SET search_path = %I, pg_temp',
                   'webhooks_end_of_spacing()'::regprocedure, tables);
END $$;

INSERT INTO webhookd_migrations (name) VALUES ('0007_failing_endpoints');
