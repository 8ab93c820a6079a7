-- Fan-out in turns by tenant, under leases, with the size of every body known beforehand.
--
-- Functions and operators are called with exactly the types that they are declared for, or by the name
-- pg_catalog: a better match that another role has created in this schema would be called instead.

-- How many bytes PostgreSQL prints for event data: exact up to `most`; beyond it, any greater number.
--
-- The stored size does not bound the printed one: `1e131071` takes 6 bytes and prints 131,072. So
-- nothing is printed before it is known to be harmless. A number is written out in at most as many
-- characters as it was typed with, unless it has an exponent: then it is huge, or it is tiny or zero
-- with many decimal places. The last comparison tells those places: a quotient has as many.

CREATE FUNCTION webhook_exploded_bytes(data jsonb, most bigint) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    digits bigint;  -- at most twice the true number
BEGIN
    SELECT sum(CASE WHEN abs(n) < 1e40 THEN scale(n)
                    WHEN abs(n) < 1e80 THEN 80
                    WHEN abs(n) < 1e160 THEN 160
                    WHEN abs(n) < 1e320 THEN 320
                    WHEN abs(n) < 1e640 THEN 640
                    WHEN abs(n) < 1e1280 THEN 1280
                    WHEN abs(n) < 1e2560 THEN 2560
                    WHEN abs(n) < 1e5120 THEN 5120
                    WHEN abs(n) < 1e10240 THEN 10240
                    WHEN abs(n) < 1e20480 THEN 20480
                    WHEN abs(n) < 1e40960 THEN 40960
                    ELSE 131072 END)
      INTO digits
      -- As an array: jsonb_path_query takes a time that grows with the square of what it finds.
      FROM (SELECT jsonb_array_elements(pg_catalog.jsonb_path_query_array(data,
                       'strict $.** ? (@ > 1e40 || @ < -1e40
                            || (@ < 1e-40 && @ > -1e-40
                                && (@ != 0
                                    || 1 / (@ + 3) > 0.33333333333333333333333333333333333333333333)))'::jsonpath
                   ))::numeric AS n) AS exploded;
    IF digits > 4 * most THEN
        RETURN digits / 2;
    END IF;
    RETURN octet_length(data::text);
END $$;

-- A SQL-standard body: its names are resolved here, and it can be inlined.
CREATE FUNCTION webhook_payload_bytes(data jsonb, most bigint) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN data IS NULL THEN 4
        -- A member takes at most twelve bytes and prints at least two: `0,`.
        WHEN pg_catalog.pg_column_size(data) > 2000
             AND pg_catalog.pg_column_size(jsonb_path_query_first(data, '$'::jsonpath)) > 6 * most + 65536
        THEN pg_catalog.pg_column_size(jsonb_path_query_first(data, '$'::jsonpath)) / 6
        WHEN jsonb_path_exists(data, 'strict $.** ? (@ > 1e40 || @ < -1e40
                    || (@ < 1e-40 && @ > -1e-40
                        && (@ != 0
                            || 1 / (@ + 3) > 0.33333333333333333333333333333333333333333333)))'::jsonpath)
        THEN webhook_exploded_bytes(data, most)
        ELSE octet_length(data::text)
    END;

-- As `webhook_payload_bytes` tells it. NULL in rows that the application inserts: the daemon measures
-- them before the first attempt.
ALTER TABLE webhook_deliveries ADD COLUMN payload_bytes BIGINT;

-- An attempt that was never made, because the body is larger than `delivery.max_body_bytes`.
ALTER TABLE webhook_deliveries ADD COLUMN too_large BOOLEAN NOT NULL DEFAULT FALSE;

-- The inbox's rows are leased while their events are matched, outside of any transaction.
ALTER TABLE webhook_event_inbox
    ADD COLUMN tenant_id UUID NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE webhook_event_inbox ADD COLUMN arrived_at TIMESTAMPTZ;
ALTER TABLE webhook_event_inbox ALTER COLUMN arrived_at SET DEFAULT clock_timestamp();
ALTER TABLE webhook_event_inbox ADD COLUMN leased_until TIMESTAMPTZ;
-- The daemon that holds the lease, by the key of the advisory lock that it keeps while it lives.
ALTER TABLE webhook_event_inbox ADD COLUMN leased_by BIGINT;
-- Of an event for thousands of webhooks: the last one, by id, that has its delivery.
ALTER TABLE webhook_event_inbox ADD COLUMN served_up_to UUID;
ALTER TABLE webhook_event_inbox SET (fillfactor = 70);  -- a lease is then written within its page

UPDATE webhook_event_inbox AS i
   SET tenant_id = e.tenant_id
  FROM webhook_events AS e
 WHERE e.id = i.event_id;

-- By tenant within a transaction's number: a tenant's events are found past another's million.
ALTER TABLE webhook_event_inbox DROP CONSTRAINT webhook_event_inbox_pkey;
ALTER TABLE webhook_event_inbox ADD PRIMARY KEY (xid, tenant_id, event_id, webhook_id);

CREATE OR REPLACE FUNCTION webhook_events_arrived() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO webhook_event_inbox (event_id, tenant_id) SELECT id, tenant_id FROM arrived;
    -- A prepared transaction must not notify: with `SET webhookd.notify = 'off'`, polling finds it.
    IF current_setting('webhookd.notify'::text, true) IS DISTINCT FROM 'off' THEN
        PERFORM pg_notify('webhookd_events'::text, ''::text);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION webhook_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('webhookd.notify'::text, true) IS NOT DISTINCT FROM 'off' THEN
        RETURN NULL;
    END IF;
    IF TG_TABLE_NAME = 'webhooks' THEN
        PERFORM pg_notify('webhookd_due'::text, NEW.id::text);
    ELSE
        PERFORM pg_notify('webhookd_due'::text, NEW.webhook_id::text);
    END IF;
    RETURN NULL;
END $$;

-- What the daemon notes on a delivery counts only if a daemon wrote it: a role that may not write to
-- the inbox is none. A row that waits without a time is due now.
CREATE FUNCTION webhook_delivery_of_application() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.payload_bytes := NULL;
    NEW.too_large := FALSE;
    NEW.leased_until := NULL;
    NEW.replay_id := NULL;
    NEW.trace := NULL;
    RETURN NEW;
END $$;

CREATE TRIGGER webhook_deliveries_of_application BEFORE INSERT ON webhook_deliveries
    FOR EACH ROW WHEN (NOT pg_catalog.has_table_privilege('webhook_event_inbox'::regclass::oid,
                                                     'UPDATE'::text))
    EXECUTE FUNCTION webhook_delivery_of_application();

CREATE FUNCTION webhook_delivery_due_now() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.next_retry_at := now();
    RETURN NEW;
END $$;

CREATE TRIGGER webhook_deliveries_due_now BEFORE INSERT OR UPDATE OF status, next_retry_at
    ON webhook_deliveries
    FOR EACH ROW WHEN (NEW.status::text = 'pending_retry' AND NEW.next_retry_at IS NULL)
    EXECUTE FUNCTION webhook_delivery_due_now();

-- Zeros stand for every webhook in the inbox, and for the beginning where webhooks are read by id.
ALTER TABLE webhooks ADD CONSTRAINT webhooks_id_not_nil
    CHECK (id <> '00000000-0000-0000-0000-000000000000') NOT VALID;

-- Which webhooks may want other events than before, found by the number of the changing transaction
-- as the inbox's rows are: daemons keep subscriptions compiled, and read again what is named here.
CREATE TABLE webhook_subscription_changes (
    xid        XID8 NOT NULL DEFAULT pg_current_xact_id(),
    tenant_id  UUID NOT NULL,
    webhook_id UUID NOT NULL,
    changed_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX webhook_subscription_changes_by_xid ON webhook_subscription_changes (xid);
CREATE INDEX webhook_subscription_changes_by_time ON webhook_subscription_changes (changed_at);

-- SECURITY DEFINER, as above.
CREATE FUNCTION webhook_subscription_changed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO webhook_subscription_changes (tenant_id, webhook_id)
        VALUES (OLD.tenant_id, OLD.id);
    END IF;
    IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND (NEW.tenant_id, NEW.id) <> (OLD.tenant_id, OLD.id) THEN
        INSERT INTO webhook_subscription_changes (tenant_id, webhook_id)
        VALUES (NEW.tenant_id, NEW.id);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER webhooks_subscribed AFTER INSERT OR DELETE ON webhooks
    FOR EACH ROW EXECUTE FUNCTION webhook_subscription_changed();

CREATE TRIGGER webhooks_switched AFTER UPDATE OF is_active ON webhooks
    FOR EACH ROW WHEN (NEW.is_active <> OLD.is_active)
    EXECUTE FUNCTION webhook_subscription_changed();

CREATE TRIGGER webhooks_subscription_changed
    AFTER UPDATE OF id, tenant_id, event_types, event_filters ON webhooks
    FOR EACH ROW EXECUTE FUNCTION webhook_subscription_changed();

DO $$
DECLARE
    tables CONSTANT name := (SELECT n.nspname
                               FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                              WHERE c.oid = 'webhook_event_inbox'::regclass::oid);
    found regprocedure;
BEGIN
    FOR found IN
        SELECT p.oid
          FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
         WHERE n.nspname = tables
           AND p.proname IN ('webhook_events_arrived', 'webhook_due', 'webhook_exploded_bytes',
                             'webhook_subscription_changed', 'webhook_delivery_of_application',
                             'webhook_delivery_due_now')
    LOOP
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET search_path = %I, pg_temp', found, tables);
    END LOOP;
END $$;

INSERT INTO webhookd_migrations (name) VALUES ('0006_inbox_leases');
