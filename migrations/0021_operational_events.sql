-- Operational events: what happens to webhooks and deliveries, sent to webhooks of a scope of their own.

-- Which events a webhook gets: 'events', the application's; 'account', operational ones of its tenant;
-- 'operator', those of all tenants. Anything else that the application writes gets none.
ALTER TABLE webhooks ADD COLUMN scope VARCHAR(20) NOT NULL DEFAULT 'events';

-- Few, and asked for with each transition: whether there is anybody to send it to.
CREATE INDEX webhooks_of_account ON webhooks (tenant_id, id) WHERE scope::text = 'account';
CREATE INDEX webhooks_of_operator ON webhooks (id) WHERE scope::text = 'operator';

CREATE TRIGGER webhooks_scope_changed AFTER UPDATE OF scope ON webhooks
    FOR EACH ROW WHEN (NEW.scope::text <> OLD.scope::text)
    EXECUTE FUNCTION webhook_subscription_changed();

-- What is deleted has no scope any more, so that of operators' webhooks would be shown to tenants.
DROP TRIGGER webhooks_history_of_deletion ON webhooks;
CREATE TRIGGER webhooks_history_of_deletion AFTER DELETE ON webhooks
    FOR EACH ROW WHEN (OLD.scope::text = 'events') EXECUTE FUNCTION webhook_keep_history();

-- Operational events, written with what they report, until their deliveries are inserted.
--
-- No foreign key: it would lock the webhook, and an event about a webhook outlives it.
CREATE TABLE webhook_operational_events (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The event's id in requests and deliveries.
    event_id     UUID NOT NULL DEFAULT gen_random_uuid(),
    -- The tenant and the webhook that it is about.
    tenant_id    UUID NOT NULL,
    webhook_id   UUID NOT NULL,
    type         VARCHAR(50) NOT NULL,
    data         JSONB NOT NULL,
    -- How many transitions it stands for: a tenant that has too many in a minute has them merged.
    count        INTEGER NOT NULL DEFAULT 1,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- Each row of a statement has its own time: that is their order.
    due_at       TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    -- Merged, and waiting for the tenant's next minute.
    held         BOOLEAN NOT NULL DEFAULT FALSE,
    -- The last subscriber, by id, that has its delivery.
    served_up_to UUID,
    -- The one subscriber that is still to be served, because it was locked.
    subscriber   UUID
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02);

CREATE INDEX webhook_operational_events_of_tenant ON webhook_operational_events (tenant_id, due_at);
CREATE UNIQUE INDEX webhook_operational_events_held
    ON webhook_operational_events (tenant_id, webhook_id, type) WHERE held;

-- A record of what an operator did with a webhook that tenants do not see is not shown to them either.
ALTER TABLE webhook_audit ADD COLUMN for_operators BOOLEAN NOT NULL DEFAULT FALSE;

-- A pause by a person, over the API or by the application. The daemon's own pauses have a reason, and
-- their events are written with the results that caused them.
--
-- SECURITY DEFINER, so that the application's role needs no right on the table.
CREATE FUNCTION webhook_paused_by_person() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_RELID <> 'webhooks'::regclass::oid THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'webhook_paused_by_person() is only for the table webhooks';
    END IF;
    -- A deletion pauses first, and is no pause.
    IF current_setting('webhookd.pause_events'::text, true) IS NOT DISTINCT FROM 'off' THEN
        RETURN NULL;
    END IF;
    IF EXISTS (SELECT FROM webhooks AS s WHERE s.scope::text = 'operator')
       OR EXISTS (SELECT FROM webhooks AS s
                   WHERE s.tenant_id = NEW.tenant_id AND s.scope::text = 'account') THEN
        INSERT INTO webhook_operational_events (tenant_id, webhook_id, type, data)
        VALUES (NEW.tenant_id, NEW.id, 'webhook.paused',
                pg_catalog.jsonb_build_object(
                    'tenant_id'::text, NEW.tenant_id, 'webhook_id'::text, NEW.id,
                    'webhook_name'::text, NEW.name,
                    'consecutive_failures'::text, NEW.consecutive_failures,
                    'reason'::text, 'person'::text));
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER webhooks_paused_by_person AFTER UPDATE OF is_active ON webhooks
    FOR EACH ROW WHEN (OLD.is_active AND NOT NEW.is_active AND NEW.scope::text = 'events'
                       AND COALESCE(NEW.paused_reason, '') NOT IN ('failures', 'gone'))
    EXECUTE FUNCTION webhook_paused_by_person();

DO $$
DECLARE
    tables CONSTANT name := (SELECT n.nspname
                               FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                              WHERE c.oid = 'webhook_event_inbox'::regclass::oid);
    found CONSTANT regprocedure := 'webhook_paused_by_person()'::regprocedure;
    grantee name;
BEGIN
    EXECUTE pg_catalog.format('ALTER FUNCTION %s SET search_path = %I, pg_temp', found, tables);
    EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM PUBLIC CASCADE', found);
    FOR grantee IN
        SELECT r.rolname
          FROM pg_catalog.pg_proc AS p
         CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) AS acl
          JOIN pg_catalog.pg_roles AS r ON r.oid = acl.grantee
         WHERE p.oid = found::oid AND acl.grantee <> p.proowner
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM %I CASCADE', found, grantee);
    END LOOP;
END $$;

INSERT INTO webhookd_migrations (name) VALUES ('0021_operational_events');
