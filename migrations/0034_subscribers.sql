-- Rows that logical replication brings to this database.
--
-- Its workers have session_replication_role = replica, in which ordinary triggers do not fire, and fire
-- no triggers of statements at all. `webhookd migrate --subscriber` creates the triggers that call what
-- is here, and lets the other triggers of these tables always fire. It is an option because tools that
-- load history set the same role.

-- Whether this session copies what the publisher had before the subscription. That is history: state 'd'
-- ends with the copy, and what the same worker brings afterwards was committed later.
CREATE FUNCTION webhook_rows_are_copied(copied_table oid) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN EXISTS (
        SELECT FROM pg_catalog.pg_stat_get_subscription(NULL::oid) AS worker
          JOIN pg_catalog.pg_subscription_rel AS copied
            ON copied.srsubid = worker.subid AND copied.srrelid = copied_table
         WHERE worker.pid = pg_backend_pid() AND worker.relid = copied_table
           AND copied.srsubstate = 'd'::"char");
END $$;

-- Whether this session may notify. A transaction that a subscription with two_phase prepares must not,
-- and the workers of PostgreSQL 14 wake nobody.
CREATE FUNCTION webhook_replication_notifies() RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF current_setting('session_replication_role'::text) <> 'replica' THEN
        RETURN true;
    END IF;
    IF current_setting('server_version_num'::text)::integer < 150000 THEN
        RETURN false;
    END IF;
    RETURN NOT EXISTS (
        SELECT FROM pg_catalog.pg_stat_get_subscription(NULL::oid) AS worker
          JOIN pg_catalog.pg_subscription AS s ON s.oid = worker.subid
         WHERE worker.pid = pg_backend_pid() AND s.subtwophasestate <> 'd'::"char");
END $$;

-- As webhook_events_arrived(), for one row.
CREATE FUNCTION webhook_event_replicated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_RELID <> 'webhook_events'::regclass::oid THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'webhook_event_replicated() is only for the table webhook_events';
    END IF;
    -- An event that was deleted and inserted again in one transaction has its row. An error would stop
    -- the replication of everything.
    INSERT INTO webhook_event_inbox (event_id, tenant_id) VALUES (NEW.id, NEW.tenant_id)
        ON CONFLICT DO NOTHING;
    IF current_setting('webhookd.notify'::text, true) IS DISTINCT FROM 'off'
       AND pg_notification_queue_usage() < '0.5'::double precision
       AND webhook_replication_notifies() THEN
        PERFORM pg_notify('webhookd_events'::text, ''::text);
    END IF;
    RETURN NULL;
END $$;

-- Stores a pending delivery that the publisher had before the subscription as one that was not made. In
-- another row, because a trigger cannot move one to another partition.
CREATE FUNCTION webhook_delivery_copied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO webhook_deliveries
           (id, webhook_id, event_id, event_type, payload, signature, status_code, response_body,
            response_headers, duration_ms, attempted_at, attempt_number, next_retry_at, status,
            error_message)
    VALUES (NEW.id, NEW.webhook_id, NEW.event_id, NEW.event_type, NEW.payload, NEW.signature,
            NEW.status_code, NEW.response_body, NEW.response_headers, NEW.duration_ms,
            NEW.attempted_at, NEW.attempt_number, NULL, 'failed',
            'not sent: it was pending before the subscription of this database began');
    RETURN NULL;
END $$;

-- Does what the foreign keys do elsewhere: their triggers do not fire for replicated rows either.
CREATE FUNCTION webhook_deletion_replicated() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF TG_RELID <> 'webhooks'::regclass::oid THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'webhook_deletion_replicated() is only for the table webhooks';
    END IF;
    DELETE FROM webhook_deliveries WHERE webhook_id = OLD.id;
    DELETE FROM webhook_notices WHERE webhook_id = OLD.id;
    DELETE FROM webhook_operator_scopes WHERE webhook_id = OLD.id;
    DELETE FROM webhook_pacing WHERE webhook_id = OLD.id;
    DELETE FROM webhook_replays WHERE webhook_id = OLD.id;
    DELETE FROM webhook_stats WHERE webhook_id = OLD.id;
    DELETE FROM webhook_unbound_secrets WHERE webhook_id = OLD.id;
    RETURN NULL;
END $$;

-- As before, but for transactions that must not notify.
CREATE OR REPLACE FUNCTION webhook_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('webhookd.notify'::text, true) IS NOT DISTINCT FROM 'off'
       OR pg_notification_queue_usage() >= '0.5'::double precision
       OR NOT webhook_replication_notifies() THEN
        RETURN NULL;
    END IF;
    IF TG_TABLE_NAME = 'webhooks' THEN
        PERFORM pg_notify('webhookd_due'::text, NEW.id::text);
    ELSE
        PERFORM pg_notify('webhookd_due'::text, NEW.webhook_id::text);
    END IF;
    RETURN NULL;
END $$;

-- CREATE OR REPLACE drops a function's search_path.
DO $$
DECLARE
    tables CONSTANT name := (SELECT n.nspname
                               FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                              WHERE c.oid = 'webhook_event_inbox'::regclass::oid);
    found regprocedure;
    grantee name;
BEGIN
    FOREACH found IN ARRAY '{webhook_rows_are_copied(oid), webhook_replication_notifies(),
                             webhook_event_replicated(), webhook_delivery_copied(),
                             webhook_deletion_replicated(), webhook_due()}'::regprocedure[]
    LOOP
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET search_path = %I, pg_temp', found, tables);
    END LOOP;
    -- As in 0012.
    FOREACH found IN ARRAY '{webhook_event_replicated(),
                             webhook_deletion_replicated()}'::regprocedure[]
    LOOP
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
    END LOOP;
END $$;

INSERT INTO webhookd_migrations (name) VALUES ('0034_subscribers');
