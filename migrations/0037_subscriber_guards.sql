-- What the publisher of a subscription writes, and must not stop or change here; and ids of webhooks.
--
-- An error in a worker stops the replication of everything: it tries the same transaction again and
-- again. So what constraints refuse elsewhere is left out of a subscriber, or is mended. And no trigger
-- did what a foreign key does elsewhere when a webhook gets another id: its deliveries went on with the
-- former id, and were sent to the next webhook that got it.

-- Called for replicated rows only.
CREATE FUNCTION webhook_replicated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id = '00000000-0000-0000-0000-000000000000'::uuid THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' OR NEW.id <> OLD.id THEN
        IF EXISTS (SELECT FROM webhooks AS w WHERE w.id = NEW.id) THEN
            RETURN NULL;
        END IF;
    END IF;
    NEW.is_active := COALESCE(NEW.is_active, true);
    NEW.is_failing := COALESCE(NEW.is_failing, false);
    NEW.consecutive_failures := COALESCE(NEW.consecutive_failures, 0);
    RETURN NEW;
END $$;

-- An event that is here already has been found, or was history.
CREATE FUNCTION webhook_event_known() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM webhook_events AS e WHERE e.id = NEW.id) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END $$;

-- As before, but asked once in a transaction, whose settings end with it: a worker applies one after
-- another, so that each row of a large one delays all other tenants'.
CREATE OR REPLACE FUNCTION webhook_rows_are_copied(copied_table oid) RETURNS boolean
    LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    setting CONSTANT text := pg_catalog.format('webhookd.copied_%s'::text, copied_table);
    known CONSTANT text := current_setting(setting, true);
    is_copied boolean;
BEGIN
    IF known <> '' THEN
        RETURN known = 'yes';
    END IF;
    is_copied := EXISTS (
        SELECT FROM pg_catalog.pg_stat_get_subscription(NULL::oid) AS worker
          JOIN pg_catalog.pg_subscription_rel AS copied
            ON copied.srsubid = worker.subid AND copied.srrelid = copied_table
         WHERE worker.pid = pg_backend_pid() AND worker.relid = copied_table
           AND copied.srsubstate = 'd'::"char");
    PERFORM set_config(setting, CASE WHEN is_copied THEN 'yes'::text ELSE 'no'::text END, true);
    RETURN is_copied;
END $$;

CREATE OR REPLACE FUNCTION webhook_event_replicated() RETURNS trigger
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
    IF current_setting('webhookd.notified'::text, true) = 'yes' THEN
        RETURN NULL;
    END IF;
    PERFORM set_config('webhookd.notified'::text, 'yes'::text, true);
    IF current_setting('webhookd.notify'::text, true) IS DISTINCT FROM 'off'
       AND pg_notification_queue_usage() < '0.5'::double precision
       AND webhook_replication_notifies() THEN
        PERFORM pg_notify('webhookd_events'::text, ''::text);
    END IF;
    RETURN NULL;
END $$;

-- As before. A replicated change is not refused, and leaves the operators' columns as they are: a
-- worker has the rights of a superuser, or of the table's owner.
CREATE OR REPLACE FUNCTION webhook_keep_of_operator() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('session_replication_role'::text) = 'replica' THEN
        NEW.id := OLD.id;
        NEW.tenant_id := OLD.tenant_id;
        NEW.endpoint_url := OLD.endpoint_url;
        NEW.scope := OLD.scope;
        RETURN NEW;
    END IF;
    IF NOT pg_catalog.has_table_privilege(
               'webhook_operator_scopes'::regclass::oid, 'INSERT'::text) THEN
        RAISE insufficient_privilege
            USING MESSAGE = 'the URL and the scope of a webhook of operators are changed over the API,'
                            ' and its id and its tenant are not changed';
    END IF;
    RETURN NEW;
END $$;

-- One statement could give a webhook another id and insert one of another tenant with the former: the
-- foreign keys are checked at its end, and were satisfied by the new row, which so got the pending
-- deliveries and the history. A replicated change counts as a deletion: see webhooks_new_id_replicated.
CREATE FUNCTION webhook_keep_id() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('session_replication_role'::text) <> 'replica' THEN
        RAISE integrity_constraint_violation
            USING MESSAGE = 'the id of a webhook is not changed: delete it, and insert another one';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER webhooks_keep_id BEFORE UPDATE OF id ON webhooks
    FOR EACH ROW WHEN (NEW.id <> OLD.id) EXECUTE FUNCTION webhook_keep_id();

-- CREATE OR REPLACE drops a function's search_path.
DO $$
DECLARE
    tables CONSTANT name := (SELECT n.nspname
                               FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                              WHERE c.oid = 'webhook_event_inbox'::regclass::oid);
    found regprocedure;
BEGIN
    FOREACH found IN ARRAY '{webhook_replicated(), webhook_event_known(), webhook_keep_of_operator(),
                             webhook_keep_id(), webhook_rows_are_copied(oid),
                             webhook_event_replicated()}'::regprocedure[]
    LOOP
        EXECUTE pg_catalog.format('ALTER FUNCTION %s SET search_path = %I, pg_temp', found, tables);
    END LOOP;
END $$;

INSERT INTO webhookd_migrations (name) VALUES ('0037_subscriber_guards');
