-- Every function looks names up in the schema of the tables, and in pg_temp last.
--
-- webhook_events_arrived() runs with the rights of its owner, so that the application's role needs
-- none on the inbox. A search_path that does not name pg_temp is searched there first: with a
-- temporary table in the inbox's place, and a trigger on it, the application's role could run
-- anything as the owner.

DO $$
DECLARE
    tables CONSTANT name := (SELECT n.nspname
                               FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                              WHERE c.oid = 'webhook_event_inbox'::regclass);
    found regprocedure;
BEGIN
    FOR found IN
        SELECT p.oid
          FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
         WHERE n.nspname = tables
           AND p.proname IN ('webhook_events_arrived', 'webhook_due', 'webhooks_fresh_start',
                             'webhooks_secret_written')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', found, tables);
    END LOOP;
END $$;

INSERT INTO webhookd_migrations (name) VALUES ('0005_pinned_functions');
